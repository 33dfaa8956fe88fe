// Adam and AdamW over a list of tensors in one pass.
#pragma once

#include <span>

#include "core/tensor.h"

namespace heed::kernels {

struct AdamUpdate {
  Tensor parameter;   ///< f32, bf16 or f64
  Tensor gradient;    ///< of the same shape and dtype
  Tensor exp_avg;     ///< first moment m, f32 (f64 for f64)
  Tensor exp_avg_sq;  ///< second moment v, likewise
  double lr = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
};

enum class Decay {
  coupled,   ///< Adam: g += weight_decay p
  decoupled  ///< AdamW (Loshchilov & Hutter 2019): p -= lr weight_decay p
};

/// With g = grad_scale gradient and t = `step` >= 1, after the weight decay:
///   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
///   p -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)
/// (Kingma & Ba 2015, with the bias corrections where PyTorch has them). Everything row-major.
void adam(std::span<const AdamUpdate> updates, Decay decay, int64_t step, double grad_scale = 1.0);

}  // namespace heed::kernels
