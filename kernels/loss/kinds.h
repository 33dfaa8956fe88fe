// The losses of pointwise.h and distribution.h by name, without tensors.
#pragma once

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

/// With x a row of logits, lse = log sum exp(x), t the row of targets:
///   soft_targets  lse sum(t') - sum(t' x),  t' = (1 - c) t + c / V     (c: smoothing)
///   distillation  c^2 KL(softmax(t / c) || softmax(x / c))             (c: temperature)
///   z             lse^2
enum class RowLoss { soft_targets, distillation, z };

}  // namespace heed::kernels
