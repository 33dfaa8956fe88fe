// Layer normalisation (Ba et al., arXiv 1607.06450, eq. 4):
//   y = (x - mean) / sqrt(var + eps) * weight + bias        over the last dimension
#pragma once

#include "core/options.h"
#include "nn/layers/norm.h"

namespace heed::nn {

struct LayerNormOptions {
  int64_t dim = 0;
  double eps = 1e-5;
  bool bias = true;
  bool affine = true;

  void options(Options& o);
};

struct LayerNorm : Norm {
  explicit LayerNorm(const LayerNormOptions& options);

  Tensor forward(const Tensor& x) override;
  std::pair<Tensor, Tensor> forward_add(const Tensor& residual, const Tensor& x) override;

  Tensor weight, bias;  // [dim], or undefined
  double eps;
};

}  // namespace heed::nn
