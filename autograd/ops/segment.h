// Differentiable reductions over groups of rows: x is [N, ...], ids [N] (i64 or i32) name each
// row's segment in [0, segments), in any order. Contiguous segments given by offsets become ids
// by kernels::segment_ids (kernels/index/segments.h). Sums run in order of rows.
#pragma once

#include "autograd/tape.h"

namespace heed {

/// [segments, ...]; 0 for an empty segment.
Tensor segment_sum(const Tensor& x, const Tensor& ids, int64_t segments);

/// Mean of the rows; 0 for an empty segment.
Tensor segment_mean(const Tensor& x, const Tensor& ids, int64_t segments);

/// Largest elements, `empty` for an empty segment; the gradient goes to the first of equals.
Tensor segment_max(const Tensor& x, const Tensor& ids, int64_t segments, double empty = 0.0);

/// Softmax over the rows of each segment, column by column: x's shape.
Tensor segment_softmax(const Tensor& x, const Tensor& ids, int64_t segments);

}  // namespace heed
