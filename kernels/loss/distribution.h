// Losses of rows of V logits against a distribution, with their gradients: the softmax is never
// stored.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// With x a row of logits, lse = log sum exp(x), t the row of targets:
///   soft_targets  lse sum(t') - sum(t' x),  t' = (1 - c) t + c / V     (c: smoothing)
///   distillation  c^2 KL(softmax(t / c) || softmax(x / c))             (c: temperature)
///   z             lse^2
enum class RowLoss { soft_targets, distillation, z };

/// The rows' losses [R] of the accumulation dtype (f64 for f64, else f32). logits and targets (for
/// z undefined) [R, V], row-major, one dtype (f32, bf16, f64).
Tensor row_losses(RowLoss kind, double parameter, const Tensor& logits, const Tensor& targets);

/// d(sum over rows of scales[r] losses[r]) / d(logits), in their dtype; scales [R] of the
/// accumulation dtype.
Tensor row_losses_backward(RowLoss kind, double parameter, const Tensor& logits,
                           const Tensor& targets, const Tensor& scales);

}  // namespace heed::kernels
