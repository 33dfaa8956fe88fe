// Sorting along a dimension and what follows from it. All orders are total: equal values by
// ascending index, NaN above every number.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

struct Sorted {
  Tensor values;   ///< x's dtype
  Tensor indices;  ///< i64, positions along dim
};

/// The first `count` (all when negative) of each slice along dim in ascending or descending order.
Sorted sort_along(const Tensor& x, int dim, bool descending, int64_t count, const char* op);

/// inverse[permutation[i]] = i along the last dimension (i64 or i32 [..., N] -> i64). A value that
/// is outside [0, N) or comes twice is an error that names it and its position.
Tensor invert_permutation(const Tensor& permutation);

/// How often each of 0 ... n - 1 occurs (i64 [n]); others are an error.
Tensor bincount(const Tensor& index, int64_t n);

/// How many values lie in each of `bins` equal bins over [low, high], i64 [bins]. The last bin
/// holds `high` too; values outside, and NaN, count nowhere.
Tensor histogram(const Tensor& x, int64_t bins, double low, double high);

struct Unique {
  Tensor values;   ///< [U], ascending
  Tensor inverse;  ///< i64 of the input's shape: values[inverse] is the input
  Tensor counts;   ///< i64 [U]
};
Unique unique_with_counts(const Tensor& x);

/// For each value the number of elements of sorted [N] (ascending) that are below it (`right`: not
/// above it): i64, values' shape.
Tensor search_sorted(const Tensor& sorted, const Tensor& values, bool right = false);

}  // namespace heed::kernels
