#include "nn/models/van.h"

namespace heed::nn {
namespace {

PyramidOptions van(std::vector<int64_t> dims, std::vector<int64_t> depths, double drop_path) {
  PyramidOptions o = imagenet_pyramid(std::move(depths), dims.front());
  o.dims = std::move(dims);
  o.heads = {1, 1, 1, 1};  // convolutions have none
  o.mlp_ratios = {8, 8, 4, 4};
  o.mlp_conv = "hidden";
  o.stem = "overlapping";
  o.downsample = "conv";
  o.embed_norm = o.norm = "batch_norm";
  o.stage_norms = true;
  o.end_norm_eps = 1e-6;
  o.layer_scale = 0.01;
  o.drop_path = drop_path;
  o.init = "fan_out";
  o.attention = Config(Config::Map{{"type", "large_kernel"}});
  return o;
}

}  // namespace

// Rates of B4 to B6 are our choice, B3's: theirs were not found in the paper or its code.
std::map<std::string, PyramidOptions> van_presets() {
  return {
      {"van-b0", van({32, 64, 160, 256}, {3, 3, 5, 2}, 0.1)},
      {"van-b1", van({64, 128, 320, 512}, {2, 2, 4, 2}, 0.1)},
      {"van-b2", van({64, 128, 320, 512}, {3, 3, 12, 3}, 0.1)},
      {"van-b3", van({64, 128, 320, 512}, {3, 5, 27, 3}, 0.2)},
      {"van-b4", van({64, 128, 320, 512}, {3, 6, 40, 3}, 0.2)},
      {"van-b5", van({96, 192, 480, 768}, {3, 3, 24, 3}, 0.2)},
      {"van-b6", van({96, 192, 384, 768}, {6, 6, 90, 6}, 0.2)},
  };
}

}  // namespace heed::nn
