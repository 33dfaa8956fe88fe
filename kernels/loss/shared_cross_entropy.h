// Softmax cross-entropy where ranks share the classes: each holds the logits of some, and they tell
// each other four numbers a row (Megatron-LM, arXiv 1909.08053, section 3, tells three in turn):
// the largest logit m_r; s_r, the sum of e^(x - m_r); the target's logit, 0 where another rank has
// it; the sum of x.
//   lse = m + log sum over r of e^(m_r - m) s_r      with m the largest m_r
#pragma once

#include <functional>

#include "kernels/loss/cross_entropy.h"

namespace heed {

/// This rank's part of the classes, and how it hears of the others'.
struct SharedClasses {
  int64_t first = 0;    ///< the first of this rank's classes
  int64_t classes = 0;  ///< of all ranks
  int64_t parts = 1;    ///< ranks
  /// x [...] -> [parts, ...]: all ranks' x in order of rank.
  std::function<Tensor(const Tensor&)> gather;
  /// Sum of one number over the ranks.
  std::function<double(double)> sum;
};

namespace kernels {

/// For rows [first, first + M) of the targets: losses of logits [M, own classes] (f32 or f64, whose
/// memory is used up) into losses[first...] and, where `gradient` is defined (logits itself, or a
/// bf16 tensor of the same shape), scale times the gradient. Every rank calls it.
void shared_cross_entropy_in_place(const Tensor& logits, const Targets& targets, int64_t first,
                                   double smoothing, double scale, const SharedClasses& shared,
                                   const Tensor& losses, const Tensor& gradient);

}  // namespace kernels
}  // namespace heed
