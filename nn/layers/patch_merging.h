// Patch merging (Swin; Liu et al., arXiv 2103.14030, section 3.1): four neighbours become one
// token.
//   y = linear(norm([x(0, 0), x(1, 0), x(0, 1), x(1, 1)]))     for every 2 x 2 square, (row,
//   column)
#pragma once

#include "nn/layers/layer_norm.h"
#include "nn/layers/linear.h"

namespace heed::nn {

struct PatchMergingOptions {
  int64_t dim = 0;
  int64_t out = 0;
  double eps = 1e-5;

  void options(Options& o);
};

struct PatchMerging : Module {
  explicit PatchMerging(const PatchMergingOptions& options, Init weight_init = {});

  /// x [B, H, W, dim] -> [B, ceil(H / 2), ceil(W / 2), out]; zeros complete odd sizes.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  LayerNorm norm;    // of 4 dim features
  Linear reduction;  // without bias
};

}  // namespace heed::nn
