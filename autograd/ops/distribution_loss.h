// Differentiable losses of rows of logits against distributions. logits [..., V]; the result is
// f32 (f64 for f64): [...] where the reduction is none, else 0-dimensional, the mean being over
// rows. The softmax is never stored. Targets are constants (stop_gradient them): one that wants a
// gradient is an error.
#pragma once

#include "autograd/ops/reduction.h"
#include "autograd/tape.h"

namespace heed {

/// -sum t log softmax(logits) with targets t [..., V] (probabilities: mixup, cutmix, a teacher's).
/// With smoothing s in [0, 1) t becomes (1 - s) t + s / V (Szegedy et al. 2016).
Tensor soft_cross_entropy(const Tensor& logits, const Tensor& targets, double smoothing = 0.0,
                          Reduction reduction = Reduction::mean);

/// T^2 KL(softmax(teacher / T) || softmax(logits / T)) with temperature T > 0 (Hinton et al. 2015;
/// T^2 keeps the gradient's size); teacher logits [..., V].
Tensor distillation_loss(const Tensor& logits, const Tensor& teacher, double temperature = 1.0,
                         Reduction reduction = Reduction::mean);

/// (log sum exp(logits))^2, to be added to a cross-entropy with a small factor (1e-4 in Chowdhery
/// et al. 2022): keeps logits from drifting.
Tensor z_loss(const Tensor& logits, Reduction reduction = Reduction::mean);

}  // namespace heed
