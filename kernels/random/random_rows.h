// Runs of random numbers, one thread, by SIMD. `first` is a multiple of 4: a run starts at a block.
#pragma once

#include "core/random.h"

namespace heed::kernels {

/// words[i] = stream.word(first + i), i in [0, n).
void random_words(const RandomStream& stream, int64_t first, int64_t n, uint32_t* words);

/// values[i] = stream.uniform(first + i): in [0, 1).
void random_uniforms(const RandomStream& stream, int64_t first, int64_t n, float* values);

/// values[i] = stream.normal(first + i), up to the rounding of its sine, cosine and logarithm.
void random_normals(const RandomStream& stream, int64_t first, int64_t n, float* values);

/// Standard normals cut at +-cut: the quantile at a uniform number in the part that is kept, so
/// that no draw is rejected. Relative error of the quantile below 1e-6.
void random_truncated_normals(const RandomStream& stream, double cut, int64_t first, int64_t n,
                              float* values);

/// to[i] = word(first + i) < threshold ? 0 : x[i] * scale.
void drop(const RandomStream& stream, uint32_t threshold, float scale, const float* x,
          int64_t first, int64_t n, float* to);
void drop(const RandomStream& stream, uint32_t threshold, float scale, const bfloat16* x,
          int64_t first, int64_t n, bfloat16* to);

}  // namespace heed::kernels
