// Batch normalisation (Ioffe & Szegedy, arXiv 1502.03167, algorithm 1), channels last:
//   y = (x - mean) / sqrt(var + eps) * weight + bias
// with the batch's statistics in training and their running averages in evaluation.
#pragma once

#include "autograd/ops/channel_norm.h"
#include "core/options.h"
#include "nn/layers/norm.h"
#include "nn/sums_over_ranks.h"

namespace heed::nn {

struct BatchNormOptions {
  int64_t dim = 0;
  double eps = 1e-5;
  double momentum = 0.1;
  bool affine = true;

  void options(Options& o);
};

struct BatchNorm : Norm, SumsOverRanks {
  /// `weight_init` fills the weight (ones without it); zeros for the last norm of a residual branch
  /// let it start as the identity.
  explicit BatchNorm(const BatchNormOptions& options, Init weight_init = {});

  /// x [B, spatial..., C] -> the same shape. In training the running statistics move by `momentum`
  /// towards the batch's (its unbiased variance), but not when a checkpointed block runs again.
  Tensor forward(const Tensor& x) override;
  std::pair<Tensor, Tensor> forward_add(const Tensor& residual, const Tensor& x) override;

  Tensor weight, bias;               // [C], or undefined
  Tensor running_mean, running_var;  // [C], buffers
  double eps, momentum;
};

}  // namespace heed::nn
