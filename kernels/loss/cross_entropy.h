// Softmax cross-entropy on rows of logits: losses and log-sum-exp in one pass, gradients in one
// more. With label smoothing s the target distribution is (1 - s) one-hot + s / V.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace heed::kernels {

/// Targets as read and checked.
struct Targets {
  std::vector<int64_t> ids;  ///< row-major; kIgnored where the target counts for nothing
  int64_t counted = 0;       ///< how many are not ignored

  static constexpr int64_t kIgnored = -1;
};

/// Reads i64 or i32 targets for V classes. A target that is neither in [0, V) nor `ignore_index` is
/// an error that names it, its position and V.
Targets read_targets(const Tensor& targets, int64_t classes, int64_t ignore_index, const char* op);

/// losses[i] = lse[i] - (1 - s) logits[i, target] - s mean(logits[i]), 0 where ignored;
/// lse[i] = log sum exp(logits[i]). logits [R, V] row-major (f32, bf16, f64); losses and lse [R] of
/// the accumulation dtype (f64 for f64, else f32).
void cross_entropy(const Tensor& logits, const Targets& targets, double smoothing,
                   const Tensor& losses, const Tensor& lse);

/// scale d(sum of losses)/d(logits) = scale (softmax(logits) - target distribution), zero in
/// ignored rows, in logits' dtype.
Tensor cross_entropy_backward(const Tensor& logits, const Targets& targets, double smoothing,
                              const Tensor& lse, double scale);

/// Both at once for rows [first, first + M) of the targets: losses of the M rows of logits (f32 or
/// f64) into losses[first...], and scale times the gradient into `gradient`: logits itself, or a
/// bf16 tensor of the same shape.
void cross_entropy_in_place(const Tensor& logits, const Targets& targets, int64_t first,
                            double smoothing, double scale, const Tensor& losses,
                            const Tensor& gradient);

/// Sum of the losses in f64, in their order, over the count; 0 when every target is ignored.
double mean_loss(const Tensor& losses, const Targets& targets);

}  // namespace heed::kernels
