// Differentiable losses of one element against another: x and target have one shape. The result is
// f32 (f64 for f64), 0-dimensional unless the reduction is none; operands of different floating
// dtypes meet in the wider one. Targets have gradients too, where they take part. Losses, sums and
// gradients are one pass over memory each.
#pragma once

#include "autograd/ops/reduction.h"
#include "autograd/tape.h"

namespace heed {

/// (x - target)^2
Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);

/// |x - target|; slope 0 where they are equal.
Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::mean);

/// (x - target)^2 / 2 within delta, beyond it delta (|x - target| - delta / 2) (Huber 1964).
Tensor huber_loss(const Tensor& x, const Tensor& target, double delta = 1.0,
                  Reduction reduction = Reduction::mean);

/// huber_loss(beta) / beta (Girshick 2015); l1_loss for beta = 0.
Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta = 1.0,
                      Reduction reduction = Reduction::mean);

struct BceOptions {
  Tensor weight;      ///< of each element, broadcast to x; without a gradient
  Tensor pos_weight;  ///< of target 1 against target 0 (logits only), broadcast to x
  Reduction reduction = Reduction::mean;
};

/// -(pos_weight t log s(x) + (1 - t) log(1 - s(x))), s the sigmoid, stable for any logit; targets
/// in [0, 1]. The mean divides by the count, not by the weights, as PyTorch's.
Tensor bce_with_logits(const Tensor& x, const Tensor& target, const BceOptions& options = {});

/// -(t log x + (1 - t) log(1 - x)) of probabilities in [0, 1] (anything else is an error);
/// logarithms are not below -100, as PyTorch's.
Tensor binary_cross_entropy(const Tensor& x, const Tensor& target, const BceOptions& options = {});

/// t (log t - x) of log-probabilities x and probabilities t; with `log_target` t is a logarithm
/// too. Reduction::mean divides by the number of elements, as PyTorch's 'mean'; a divergence a row
/// is the sum over the batch size ('batchmean').
Tensor kl_div(const Tensor& x, const Tensor& target, bool log_target = false,
              Reduction reduction = Reduction::mean);

}  // namespace heed
