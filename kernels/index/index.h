// Taking rows by index, and its transpose: adding rows by index in a fixed order.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// out[a, k..., b] = x[a, index[k...], b], a and b standing for the dimensions before and behind
/// dim. index [K...] (i64 or i32) replaces dim's extent by its own shape. The result has `dtype`
/// (f32, bf16, f64 from floating x; any x in its own dtype). An index outside [0, x.size(dim)) is
/// an error naming it and its position.
Tensor take(const Tensor& x, int dim, const Tensor& index, DType dtype, const char* op);

/// dx[a, n, b] = sum over k with index[k] = n of dy[a, k..., b], in order of k, whatever the thread
/// count. `shape` and `dtype` (f32, bf16, f64) are dx's; sums are f32 (f64 for f64).
Tensor take_backward(const Tensor& dy, int dim, const Tensor& index, const Shape& shape,
                     DType dtype, const char* op);

}  // namespace heed::kernels
