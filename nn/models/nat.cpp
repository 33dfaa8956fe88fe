#include "nn/models/nat.h"

namespace heed::nn {
namespace {

Config neighborhood(int64_t window, int64_t dilation = 1) {
  Config slot = Config::map();
  slot.set("type", "neighborhood");
  slot.set("window", window);
  if (dilation > 1) slot.set("dilation", dilation);
  slot.set("relative", true);
  slot.set("fit", "pad");
  return slot;
}

/// Layers that are local and dilated in turn (arXiv 2209.15001, section 3.3): one dilation for each
/// stage, 1 for none.
PyramidOptions dilated(PyramidOptions o, const std::vector<int64_t>& dilations,
                       int64_t window = 7) {
  o.attention = neighborhood(window);
  o.attentions = {{{}, neighborhood(window)}};
  for (size_t stage = 0; stage < dilations.size(); ++stage) {
    if (dilations[stage] == 1) continue;
    o.attentions.push_back(
        {{static_cast<int64_t>(stage) + 1}, neighborhood(window, dilations[stage])});
  }
  return o;
}

// The largest that fit the maps of 56, 28, 14 and 7 pixels: floor(size / 7).
const std::vector<int64_t> kDilations = {8, 4, 2, 1};

/// NAT (arXiv 2204.07143, table 1): overlapping convolutions.
PyramidOptions nat(std::vector<int64_t> depths, int64_t dim, double mlp_ratio, double drop_path,
                   double layer_scale = 0.0) {
  PyramidOptions o = imagenet_pyramid(std::move(depths), dim);
  o.mlp_ratios = {mlp_ratio};
  o.stem = "convs";
  o.downsample = "conv";
  o.downsample_bias = false;
  o.drop_path = drop_path;
  o.layer_scale = layer_scale;
  o.attention = neighborhood(7);
  return o;
}

/// At 384 x 384, maps of 96, 48, 24 and 12 pixels.
PyramidOptions large_at_384(int64_t window, const std::vector<int64_t>& dilations) {
  PyramidOptions o = dilated(nat({3, 4, 18, 5}, 192, 2, 0.35), dilations, window);
  o.height = o.width = 384;
  return o;
}

/// Swin's shape (arXiv 2209.15001, section 3.4).
PyramidOptions dinat_s(std::vector<int64_t> depths, int64_t dim, double drop_path) {
  PyramidOptions o = imagenet_pyramid(std::move(depths), dim);
  o.drop_path = drop_path;
  return dilated(o, kDilations);
}

/// Twelve blocks on 14 x 14 patches (arXiv 2209.15001, section 4.4): heads of 32 features as
/// everywhere, no class token, no positions but the relative biases.
PyramidOptions isotropic(int64_t dim, double drop_path, const Config& attention) {
  PyramidOptions o = imagenet_pyramid({12}, dim);
  o.patch = 16;
  o.drop_path = drop_path;
  o.attention = attention;
  return o;
}

}  // namespace

std::map<std::string, PyramidOptions> nat_presets() {
  const PyramidOptions mini = nat({3, 4, 6, 5}, 64, 3, 0.2), tiny = nat({3, 4, 18, 5}, 64, 3, 0.2);
  const PyramidOptions base = nat({3, 4, 18, 5}, 128, 2, 0.5, 1e-5);
  // The code gives NAT-Small a layer scale that DiNAT-Small does not have.
  const PyramidOptions small = nat({3, 4, 18, 5}, 96, 2, 0.3);
  PyramidOptions scaled = small;
  scaled.layer_scale = 1e-5;
  std::map<std::string, PyramidOptions> all = {
      {"nat-mini", mini},
      {"nat-tiny", tiny},
      {"nat-small", scaled},
      {"nat-base", base},
      {"dinat-mini", dilated(mini, kDilations)},
      {"dinat-tiny", dilated(tiny, kDilations)},
      {"dinat-small", dilated(small, kDilations)},
      {"dinat-base", dilated(base, kDilations)},
      {"dinat-large", dilated(nat({3, 4, 18, 5}, 192, 2, 0.35), kDilations)},
      {"dinat-large-384", large_at_384(7, {13, 6, 3, 1})},
      {"dinat-large-384-11x11", large_at_384(11, kDilations)},
      {"dinat_s-tiny", dinat_s({2, 2, 6, 2}, 96, 0.2)},
      {"dinat_s-small", dinat_s({2, 2, 18, 2}, 96, 0.3)},
      {"dinat_s-base", dinat_s({2, 2, 18, 2}, 128, 0.5)},
      {"dinat_s-large", dinat_s({2, 2, 18, 2}, 192, 0.35)},
  };
  struct Size {
    const char* name;
    int64_t dim;
    double drop_path;
  };
  for (const auto& [name, dim, drop_path] : {Size{"small", 384, 0.1}, Size{"base", 768, 0.4}}) {
    const PyramidOptions local = isotropic(dim, drop_path, neighborhood(7));
    all.emplace(std::string("nat-iso-") + name, local);
    all.emplace(std::string("dinat-iso-") + name, dilated(local, {2}));
    // Windows as large as the map: dense attention with biases by offset.
    all.emplace(std::string("vit-rpb-") + name, isotropic(dim, drop_path, neighborhood(14)));
  }
  return all;
}

}  // namespace heed::nn
