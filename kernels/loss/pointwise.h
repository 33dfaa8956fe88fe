// Losses of one element against another, their weighted sum and both gradients, each in one pass.
#pragma once

#include "core/tensor.h"
#include "kernels/loss/kinds.h"

namespace heed::kernels {

struct PointwiseLoss {
  Pointwise kind;
  double parameter = 1;
  double factor = 1;  ///< of every loss
  Tensor x, target;   ///< one shape and dtype (f32, bf16, f64), row-major
  Tensor weight;    ///< factors of the elements, of the accumulation dtype, row-major; or undefined
  Tensor positive;  ///< bce_with_logits: q, likewise
};

/// Each element's loss, f32 (f64 for f64).
Tensor pointwise_loss(const PointwiseLoss& loss);
/// Their sum: vectors within pieces of fixed size, pieces in f64 in order.
double pointwise_loss_sum(const PointwiseLoss& loss);

struct PointwiseGradients {
  Tensor dx, dtarget;  ///< x's dtype; undefined where not wanted
};
/// scale times dy (of the accumulation dtype; ones where undefined) times the derivatives.
PointwiseGradients pointwise_loss_backward(const PointwiseLoss& loss, const Tensor& dy,
                                           double scale, bool want_x, bool want_target);

}  // namespace heed::kernels
