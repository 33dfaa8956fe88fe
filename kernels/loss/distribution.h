// Losses of rows of V logits against a distribution, with their gradients: the softmax is never
// stored.
#pragma once

#include "core/tensor.h"
#include "kernels/loss/kinds.h"

namespace heed::kernels {

/// The rows' losses [R] of the accumulation dtype (f64 for f64, else f32). logits and targets (for
/// z undefined) [R, V], row-major, one dtype (f32, bf16, f64).
Tensor row_losses(RowLoss kind, double parameter, const Tensor& logits, const Tensor& targets);

/// d(sum over rows of scales[r] losses[r]) / d(logits), in their dtype; scales [R] of the
/// accumulation dtype.
Tensor row_losses_backward(RowLoss kind, double parameter, const Tensor& logits,
                           const Tensor& targets, const Tensor& scales);

}  // namespace heed::kernels
