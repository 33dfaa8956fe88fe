// Contiguous rows between f32 and bf16, by SIMD; one thread.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace heed::kernels {

/// Rounds to nearest even.
void f32_to_bf16(const float* from, bfloat16* to, int64_t n);
void bf16_to_f32(const bfloat16* from, float* to, int64_t n);

}  // namespace heed::kernels
