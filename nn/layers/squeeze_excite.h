// Squeeze-and-excitation (Hu et al., arXiv 1709.01507, eq. 2 to 4): channels weighted by what the
// whole image holds.
//   s = sigmoid(expand(relu(reduce(mean over positions of x))));   y = x * s
#pragma once

#include "nn/layers/linear.h"

namespace heed::nn {

struct SqueezeExciteOptions {
  int64_t dim = 0;
  int64_t hidden = 0;

  void options(Options& o);
};

struct SqueezeExcite : Module {
  explicit SqueezeExcite(const SqueezeExciteOptions& options);

  /// x [B, spatial..., C] -> the same shape.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  Linear reduce, expand;
};

}  // namespace heed::nn
