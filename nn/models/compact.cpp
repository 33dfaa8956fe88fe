#include "nn/models/compact.h"

namespace heed::nn {
namespace {

VitOptions compact(int64_t layers, int64_t image = 32, int64_t classes = 10) {
  const CompactSize size = compact_size(layers);
  VitOptions o;
  o.height = o.width = image;
  o.classes = classes;
  o.layers = size.layers;
  o.heads = size.heads;
  o.dim = size.dim;
  o.hidden = size.hidden;
  o.norm_eps = 1e-5;
  o.normed_stream = true;
  o.qkv_bias = false;
  o.stem_init = "kaiming";
  o.position_std = 0.2;
  o.attention_dropout = 0.1;
  o.drop_path = 0.1;
  return o;
}

VitOptions vit_lite(int64_t layers, int64_t patch) {
  VitOptions o = compact(layers);
  o.patch = patch;
  return o;
}

VitOptions cvt(int64_t layers, int64_t patch) {
  VitOptions o = vit_lite(layers, patch);
  o.pool = "attention";
  return o;
}

VitOptions cct(int64_t layers, int64_t kernel, int64_t convs, int64_t image = 32,
               int64_t classes = 10) {
  VitOptions o = compact(layers, image, classes);
  o.stem = "convs";
  o.stem_kernel = kernel;
  o.stem_convs = convs;
  o.pool = "attention";
  return o;
}

}  // namespace

CompactSize compact_size(int64_t layers) {
  if (layers <= 4) return {layers, 2, 128, 128};
  if (layers <= 7) return {layers, 4, 256, 512};
  return {layers, 6, 384, 1152};
}

std::map<std::string, VitOptions> compact_presets() {
  std::map<std::string, VitOptions> all = {
      {"vit-lite-7-8", vit_lite(7, 8)},
      {"vit-lite-7-16", vit_lite(7, 16)},
      {"cct-2-3x2", cct(2, 3, 2)},
      {"cct-4-3x2", cct(4, 3, 2)},
      {"cct-6-3x1", cct(6, 3, 1)},
      {"cct-6-3x2", cct(6, 3, 2)},
      {"cct-7-3x1", cct(7, 3, 1)},
      {"cct-7-3x2", cct(7, 3, 2)},
      {"cct-7-7x2", cct(7, 7, 2, 224, 102)},  // Flowers-102
      {"cct-14-7x2", cct(14, 7, 2, 224, 1000)},
      {"cct-14-7x2-384", cct(14, 7, 2, 384, 1000)},
  };
  for (const int64_t layers : {2, 4, 6, 7}) {
    all.emplace(fmt::format("vit-lite-{}-4", layers), vit_lite(layers, 4));
    all.emplace(fmt::format("cvt-{}-4", layers), cvt(layers, 4));
  }
  return all;
}

}  // namespace heed::nn
