// What an optimiser asks of, or does to, all gradients or all parameters at once. Tensors are
// row-major f32, bf16 or f64; undefined ones are skipped.
#pragma once

#include <span>
#include <string>

#include "core/tensor.h"

namespace heed::kernels {

/// sqrt(sum of squares over all tensors); partial sums over chunks of fixed size are added in f64
/// in their order. Not finite when an element is not.
double global_norm(std::span<const Tensor> tensors);

/// The first tensor that holds an infinity or NaN, or -1.
int64_t first_not_finite(std::span<const Tensor> tensors);

/// x = min(max(x, -limit), limit); NaN stays NaN.
void clamp_inplace(std::span<const Tensor> tensors, double limit);
/// x *= factor
void scale_inplace(std::span<const Tensor> tensors, double factor);

/// average += (1 - decay) (value - average), pairwise; averages are f32 (f64 for f64).
void ema_update(std::span<const Tensor> averages, std::span<const Tensor> values, double decay);

}  // namespace heed::kernels
