// Images to tokens: a strided convolution (Dosovitskiy et al., arXiv 2010.11929, eq. 1). Patches
// that do not overlap are one matrix product.
#pragma once

#include "nn/layers/conv.h"

namespace heed::nn {

struct PatchEmbedOptions {
  int64_t channels = 3;
  int64_t dim = 0;
  int64_t patch = 16;
  int64_t stride = 0;
  int64_t padding = 0;
  bool bias = true;

  void options(Options& o);
};

struct PatchEmbed : Module {
  explicit PatchEmbed(const PatchEmbedOptions& options, Init weight_init = {});

  /// x [B, H, W, channels] -> the grid of tokens [B, H', W', dim], H' = (H + 2 padding - patch) /
  /// stride + 1. With stride = patch and no padding an image that is no multiple of the patch is
  /// an error: nothing is cut off silently.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }
  int64_t grid_size(int64_t image_size) const { return conv.output_size(image_size); }

  Conv conv;
  int64_t patch;
  bool tiles;  // patches that neither overlap nor leave gaps
};

}  // namespace heed::nn
