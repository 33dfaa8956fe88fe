// Projection and cross-entropy together, in chunks of rows: the logits of a large vocabulary are
// never stored whole, and a chunk's logits and their gradient share one buffer.
#pragma once

#include "kernels/loss/shared_cross_entropy.h"

namespace heed::kernels {

struct LinearCrossEntropyWanted {
  bool dx = false, dweight = false, dbias = false;
  bool any() const { return dx || dweight || dbias; }
};

struct LinearCrossEntropyResult {
  Tensor losses;   ///< [R], f32 (f64 for f64), 0 where ignored
  Tensor dx;       ///< [R, C] in x's dtype; gradients are those of the mean loss; undefined
  Tensor dweight;  ///< [V, C] in weight's dtype               where not wanted
  Tensor dbias;    ///< [V] in bias's dtype
};

/// Losses of logits = x weight^T + bias, and at once the gradients of their mean. x [R, C]
/// row-major, weight [V, C], bias [V] or undefined; a weight of another dtype than x is rounded to
/// x's for the products, whose sums are f32 (f64 for f64). With `shared`, weight and bias are this
/// rank's classes, every rank calls it with the same x, and dx is this rank's share of the sum.
LinearCrossEntropyResult linear_cross_entropy(const Tensor& x, const Tensor& weight,
                                              const Tensor& bias, const Targets& targets,
                                              double smoothing,
                                              const LinearCrossEntropyWanted& wanted,
                                              const SharedClasses* shared = nullptr);

/// Rows whose logits are formed at a time for V classes: a function of V alone.
int64_t linear_cross_entropy_chunk(int64_t classes);

}  // namespace heed::kernels
