// Stochastic gradient descent with momentum over a list of tensors in one pass.
#pragma once

#include <span>

#include "core/tensor.h"

namespace heed::kernels {

struct SgdUpdate {
  Tensor parameter;        ///< f32, bf16 or f64
  Tensor gradient;         ///< of the same shape and dtype
  Tensor momentum_buffer;  ///< f32 (f64 for f64); undefined without momentum
  double lr = 1e-3;
  double momentum = 0;
  double weight_decay = 0;
  double scale = 1;  ///< of gradient and weight decay (LARS' trust ratio)
};

/// With g = scale (grad_scale gradient + weight_decay p) and b = momentum b + g:
///   p -= lr b, or p -= lr (g + momentum b) with Nesterov's momentum (Sutskever et al. 2013).
/// Without momentum p -= lr g.
void sgd(std::span<const SgdUpdate> updates, bool nesterov, double grad_scale = 1.0);

}  // namespace heed::kernels
