// Pooling layers, channels last, in one to three spatial dimensions.
#pragma once

#include <vector>

#include "autograd/ops/pool.h"
#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

/// One number in a list stands for every spatial dimension.
struct MaxPoolOptions {
  std::vector<int64_t> kernel = {2};
  std::vector<int64_t> stride;  ///< empty: the kernel's extent
  std::vector<int64_t> padding = {0};
  std::vector<int64_t> dilation = {1};
  bool ceil = false;

  void options(Options& o);
};

struct AvgPoolOptions {
  std::vector<int64_t> kernel = {2};
  std::vector<int64_t> stride;  ///< empty: the kernel's extent
  std::vector<int64_t> padding = {0};
  bool ceil = false;
  bool count_include_pad = true;

  void options(Options& o);
};

struct AdaptiveAvgPoolOptions {
  std::vector<int64_t> out = {1};  ///< {1}: the global mean

  void options(Options& o);
};

struct MaxPool : Module {
  explicit MaxPool(const MaxPoolOptions& options);

  /// x [B, in..., C] -> the largest of each window [B, out..., C].
  Tensor forward(const Tensor& x);

  PoolOptions window;
};

struct AvgPool : Module {
  explicit AvgPool(const AvgPoolOptions& options);

  /// x [B, in..., C] -> the mean of each window [B, out..., C].
  Tensor forward(const Tensor& x);

  PoolOptions window;
};

struct AdaptiveAvgPool : Module {
  explicit AdaptiveAvgPool(const AdaptiveAvgPoolOptions& options);

  /// x [B, in..., C] -> [B, out..., C], means over bins that cover x evenly.
  Tensor forward(const Tensor& x);

  Shape out;
};

}  // namespace heed::nn
