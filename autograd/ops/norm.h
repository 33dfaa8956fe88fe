// Differentiable normalisation over the last dimension. Statistics are f32 (f64 for f64) whatever x
// is; weight and bias may be f32 beside bf16 activations.
#pragma once

#include <utility>

#include "autograd/tape.h"

namespace heed {

/// (x - mean) / sqrt(var + eps) * weight + bias (Ba et al. 2016); weight, bias [C] or undefined.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);
/// x / sqrt(mean(x^2) + eps) * weight (Zhang & Sennrich 2019); weight [C] or undefined.
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps = 1e-5);

/// {s, norm(s)} with s = residual + x, in one pass forward and one backward.
std::pair<Tensor, Tensor> add_layer_norm(const Tensor& residual, const Tensor& x,
                                         const Tensor& weight, const Tensor& bias,
                                         double eps = 1e-5);
std::pair<Tensor, Tensor> add_rms_norm(const Tensor& residual, const Tensor& x,
                                       const Tensor& weight, double eps = 1e-5);

}  // namespace heed
