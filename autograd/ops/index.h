// Differentiable indexing.
#pragma once

#include "autograd/tape.h"

namespace heed {

/// Rows of weight [V, C] at ids [...] (i64 or i32) -> [..., C] in `dtype`. An id outside [0, V) is
/// an error that names it and its position. The gradient is summed in a fixed order.
Tensor embedding(const Tensor& weight, const Tensor& ids, DType dtype = DType::f32);

/// Rows x[index] along dim: index [K] (i64 or i32).
Tensor index_select(const Tensor& x, int dim, const Tensor& index);

/// out[.., k, ..] = x[.., index[.., k, ..], ..] along dim (take_along_axis): index (i64 or i32) has
/// x's shape but along dim. Here and below an index out of range is an error that names it and its
/// position, and equal indices are summed in order of position.
Tensor gather(const Tensor& x, int dim, const Tensor& index);

/// x with out[.., index[.., k, ..], ..] += source[.., k, ..]: source has index's shape and x's
/// dtype.
Tensor scatter_add(const Tensor& x, int dim, const Tensor& index, const Tensor& source);

/// Means of the elements that share an index: extent `extent` along dim, sum / (count + eps), 0
/// where nothing came.
Tensor scatter_mean(const Tensor& source, int dim, const Tensor& index, int64_t extent,
                    double eps = 0.0);

/// x with rows index [K...] along dim replaced by the rows of `values` (of the shape that
/// embedding-like indexing gives: dim's extent replaced by K...), or added to them where
/// `accumulate`. When rows are replaced the last of equal indices wins, and only that one has a
/// gradient.
Tensor index_put(const Tensor& x, int dim, const Tensor& index, const Tensor& values,
                 bool accumulate = false);

/// x [..., C] with its rows where mask [...] (boolean or u8) holds replaced, in order, by rows [K,
/// C]; K must be their count. Merges tokens of two kinds.
Tensor masked_put_rows(const Tensor& x, const Tensor& mask, const Tensor& rows);

}  // namespace heed
