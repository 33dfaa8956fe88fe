// Between rows of f32 in memory and 16 lanes: lanes[16 c + l] is column c of line l.
#pragma once

#include <cstdint>

namespace heed::kernels {

/// 16 lines are rows of `columns` numbers, `stride` apart.
void rows_to_lanes(const float* x, int64_t stride, int64_t columns, float* lanes);
void lanes_to_rows(const float* lanes, int64_t columns, float* x, int64_t stride);

/// 16 lines lie side by side: column c of all of them begins at x + c * stride.
void vectors_to_lanes(const float* x, int64_t stride, int64_t columns, float* lanes);
void lanes_to_vectors(const float* lanes, int64_t columns, float* x, int64_t stride);

/// The same for pairs: (column 2 c, column 2 c + 1) of each line in turn, from x + c * stride on.
void pairs_to_lanes(const float* x, int64_t stride, int64_t pairs, float* lanes);
void lanes_to_pairs(const float* lanes, int64_t pairs, float* x, int64_t stride);

}  // namespace heed::kernels
