// Gathering and scattering single elements along a dimension, and overwriting rows.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// An index that is one id for a whole row, expanded over the dimensions behind dim, as a view with
/// extents of 1 there; any other as it is.
Tensor one_id_a_row(const Tensor& index, int dim);

/// out[o, k, i] = x[o, index[o, k, i], i]: x of any dtype; index (i64, i32) has x's shape but along
/// dim. An index outside [0, x.size(dim)) is an error naming it and its position. Here and below
/// one that is expanded over the dimensions behind dim is read once a row.
Tensor gather_along(const Tensor& x, int dim, const Tensor& index, const char* op);

/// out[o, index[o, k, i], i] += values[o, k, i] in order of k, whatever the thread count; starts
/// from `base`, or from zeros of `shape` where base is undefined. Floating; sums are f32 (f64 for
/// f64), the result has values' dtype.
Tensor scatter_add_along(const Tensor& base, const Shape& shape, int dim, const Tensor& index,
                         const Tensor& values, const char* op);

/// x with row index[k] along dim replaced by values' k-th: the last of equal indices wins. Any
/// dtype, the same for both; values as take(x, dim, index) has them.
Tensor put_rows(const Tensor& x, int dim, const Tensor& index, const Tensor& values,
                const char* op);

/// The gradient of put_rows' values: rows of dy, 0 where a later one of the same index won.
Tensor put_rows_backward(const Tensor& dy, int dim, const Tensor& index, const char* op);

}  // namespace heed::kernels
