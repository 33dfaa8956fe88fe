// Differentiable pooling, channels last: x [B, spatial..., C] with one to three spatial dimensions.
#pragma once

#include "autograd/tape.h"

namespace heed {

/// One number for every spatial dimension, or one each. An empty stride is the kernel's extent.
struct PoolOptions {
  Shape kernel = {2};
  Shape stride;
  Shape padding = {0};   ///< at most half of the window
  Shape dilation = {1};  ///< max_pool alone
  bool ceil = false;     ///< round the result's extent up, with windows that reach over the end
  bool count_include_pad = true;  ///< avg_pool: padding counts as zeros in the mean
};

/// The largest of each window [B, out..., C], out = (in + 2 padding - dilation (kernel - 1) - 1) /
/// stride + 1; padding is -infinity. The gradient goes to the first of equals in row-major order.
Tensor max_pool(const Tensor& x, const PoolOptions& options);

/// The mean of each window, out as above; the gradient is shared among the window's pixels.
Tensor avg_pool(const Tensor& x, const PoolOptions& options);

/// Means over bins that cover x evenly and may overlap: bin o of `out` is [floor(o in / out),
/// ceil((o + 1) in / out)), PyTorch's rule. `out` has one number for every spatial dimension, or
/// one each; {1} is the global mean.
Tensor adaptive_avg_pool(const Tensor& x, const Shape& out);

/// The mean over the tokens that mask [B, N] (bool) holds of x [B, N, C] -> [B, C]; zeros where it
/// holds none. What is masked out does not leak, whatever it is.
Tensor masked_mean(const Tensor& x, const Tensor& mask);

}  // namespace heed
