// Rows grouped by segment id: reductions over each group. x is [N, ...], ids are N of them in [0,
// segments), in any order; the sum is take_backward (kernels/index/index.h).
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace heed::kernels {

struct SegmentMax {
  Tensor values;  ///< [segments, ...], x's dtype
  Tensor rows;    ///< i64, like values: where the maximum stands in x, the first of equals; -1
                  ///< where the segment is empty
};

/// Largest elements of each segment, `empty` where it has no row. NaN wins. (f32, bf16, f64)
SegmentMax segment_max(const Tensor& x, const Tensor& ids, int64_t segments, double empty,
                       const char* op);

/// dx of `shape` [N, ...]: dy where an element was its segment's maximum, else 0.
Tensor segment_max_backward(const Tensor& dy, const Tensor& rows, const Tensor& ids,
                            const Shape& shape);

/// Ids of contiguous segments: offsets [S + 1] (i64 or i32, ascending from 0 to N), segment s being
/// rows offsets[s] ... offsets[s + 1] - 1. Result i64 [N].
Tensor segment_ids(const Tensor& offsets);

/// How many rows each segment has.
std::vector<int64_t> segment_sizes(const Tensor& ids, int64_t segments, const char* op);

}  // namespace heed::kernels
