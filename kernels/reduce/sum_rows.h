// One-thread sums over contiguous memory, by SIMD.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace heed::kernels {

/// Sum of n elements; in f32 for float and bfloat16.
float sum_row(const float* x, int64_t n);
float sum_row(const bfloat16* x, int64_t n);
double sum_row(const double* x, int64_t n);

/// sum[c] = x[0, c] + x[1, c] + ... over `rows` rows that are `stride` elements apart (four rows at
/// a time).
void sum_columns(const float* x, int64_t rows, int64_t stride, int64_t columns, float* sum);
void sum_columns(const bfloat16* x, int64_t rows, int64_t stride, int64_t columns, float* sum);
void sum_columns(const double* x, int64_t rows, int64_t stride, int64_t columns, double* sum);

}  // namespace heed::kernels
