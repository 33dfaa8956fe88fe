// Losses of one element against another, their weighted sum and both gradients, each in one pass.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// With x the prediction, t the target, c the parameter and q the weight of positives:
///   squared          (x - t)^2
///   absolute         |x - t|, slope 0 at 0
///   huber            (x - t)^2 / 2 within c, beyond it c (|x - t| - c / 2)     (Huber 1964)
///   bce_with_logits  (1 - t) x + (1 + (q - 1) t) softplus(-x)
///   bce              -(t log x + (1 - t) log(1 - x)), logarithms not below -100
///   kl_div           t (log t - x), 0 where t is not positive; x are log-probabilities
///   kl_div_log       exp(t) (t - x); both are log-probabilities
enum class Pointwise { squared, absolute, huber, bce_with_logits, bce, kl_div, kl_div_log };

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
