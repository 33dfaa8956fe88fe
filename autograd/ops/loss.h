// Differentiable losses and the softmax family.
#pragma once

#include <memory>

#include "autograd/ops/reduction.h"
#include "autograd/tape.h"
#include "kernels/loss/shared_cross_entropy.h"

namespace heed {

Tensor softmax(const Tensor& x, int dim);
Tensor log_softmax(const Tensor& x, int dim);

struct CrossEntropyOptions {
  int64_t ignore_index = -100;  ///< targets of this value count neither in the sum nor in the mean
  double smoothing = 0.0;       ///< label smoothing (Szegedy et al. 2016), in [0, 1)
  Reduction reduction = Reduction::mean;  ///< over the counted targets; none: 0 where ignored
  /// For linear_cross_entropy: ranks share the classes, weight and bias are this rank's, and the
  /// gradients this rank's share. Null: they are whole.
  std::shared_ptr<const SharedClasses> shared = nullptr;
};

/// -log softmax(logits)[target], its mean (or sum) over the counted targets, a 0-dimensional f32
/// (f64 for f64), or each target's, [...]. logits [..., V], targets [...] of i64 or i32. A target
/// outside [0, V) is an error that names it.
Tensor cross_entropy(const Tensor& logits, const Tensor& targets,
                     const CrossEntropyOptions& options = {});

/// cross_entropy(linear(x, weight, bias), targets) without ever holding all logits: rows are taken
/// in chunks, and the chunk's logits and their gradient live in one buffer. x [..., C], weight [V,
/// C]. The gradients of x and weight are computed in the forward pass (the seed only scales them),
/// so backward costs nothing more; a reduction to none is for linear_cross_entropy_rows.
Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& bias,
                            const Tensor& targets, const CrossEntropyOptions& options = {});

/// Per-target losses without a gradient, f32 [...], 0 where ignored; chunked likewise. For
/// evaluation.
Tensor linear_cross_entropy_rows(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                 const Tensor& targets, const CrossEntropyOptions& options = {});

}  // namespace heed
