// Reductions over dimensions. Sums of f32 and bf16 are kept in f32 (across pieces of a long row in
// f64), those of f64 in f64, in an order that depends on the shape alone.
#pragma once

#include <utility>
#include <vector>

#include "core/tensor.h"

namespace heed::kernels {

/// scale times the sum over `dims` (all when empty; negative ones count from the end), in x's dtype
/// (floating). The sum of nothing is 0.
Tensor sum(const Tensor& x, const std::vector<int>& dims, bool keepdim, double scale = 1.0);

/// x [R, N] summed over its rows: [N], f32 (f64 for f64).
Tensor column_sums(const Tensor& x);

/// Sums x over the dimensions that broadcasting `shape` to x's shape repeated; x itself when there
/// are none.
Tensor sum_to(const Tensor& x, const Shape& shape);

/// Largest elements along dim and their indices (i64): the first of equals, the first NaN when
/// there is one. Any dtype; the extent of dim must not be 0. `dim` is kept with extent 1.
std::pair<Tensor, Tensor> max_along(const Tensor& x, int dim);
/// The same of the smallest.
std::pair<Tensor, Tensor> min_along(const Tensor& x, int dim);

/// Zeros of x's shape with `values` at `indices` along dim: the gradient of max_along and
/// min_along. values and indices have extent 1 along dim.
Tensor scatter_along(const Tensor& values, const Tensor& indices, int dim, int64_t extent);

}  // namespace heed::kernels
