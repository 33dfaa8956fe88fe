// Group normalisation (Wu & He, arXiv 1803.08494, eq. 7) and instance normalisation (Ulyanov et
// al., arXiv 1607.08022, eq. 4), channels last: statistics of each sample over space and the
// channels of a group, or of one channel.
#pragma once

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

struct GroupNormOptions {
  int64_t dim = 0;
  int64_t groups = 32;
  double eps = 1e-5;
  bool affine = true;

  void options(Options& o);
};

struct GroupNorm : Module {
  explicit GroupNorm(const GroupNormOptions& options);

  /// x [B, spatial..., C] -> the same shape.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  Tensor weight, bias;  // [C], or undefined
  int64_t groups;
  double eps;
};

struct InstanceNormOptions {
  int64_t dim = 0;
  double eps = 1e-5;
  bool affine = false;

  void options(Options& o);
};

struct InstanceNorm : Module {
  explicit InstanceNorm(const InstanceNormOptions& options);

  /// x [B, spatial..., C] -> the same shape.
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  Tensor weight, bias;  // [C], or undefined
  int64_t dim;
  double eps;
};

}  // namespace heed::nn
