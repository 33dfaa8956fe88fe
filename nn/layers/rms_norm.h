// Root mean square normalisation (Zhang & Sennrich, arXiv 1910.07467, eq. 4):
//   y = x / sqrt(mean(x^2) + eps) * weight        over the last dimension
#pragma once

#include "core/options.h"
#include "nn/layers/norm.h"

namespace heed::nn {

struct RmsNormOptions {
  int64_t dim = 0;
  double eps = 1e-5;
  bool affine = true;

  void options(Options& o);
};

struct RmsNorm : Norm {
  explicit RmsNorm(const RmsNormOptions& options);

  Tensor forward(const Tensor& x) override;
  std::pair<Tensor, Tensor> forward_add(const Tensor& residual, const Tensor& x) override;

  Tensor weight;  // [dim], or undefined
  double eps;
};

}  // namespace heed::nn
