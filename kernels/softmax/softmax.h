// Softmax and log-softmax along any dimension (f32, bf16, f64), with their gradients. Exponentials
// and sums are f32 (f64 for f64). The result is row-major.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// exp(x - max) / sum exp(x - max) along dim. A slice that is -infinity throughout gives NaN.
Tensor softmax(const Tensor& x, int dim);
/// dx = y (dy - sum(dy y)), y the result.
Tensor softmax_backward(const Tensor& dy, const Tensor& y, int dim);

/// x - max - log sum exp(x - max) along dim.
Tensor log_softmax(const Tensor& x, int dim);
/// dx = dy - exp(y) sum(dy), y the result.
Tensor log_softmax_backward(const Tensor& dy, const Tensor& y, int dim);

}  // namespace heed::kernels
