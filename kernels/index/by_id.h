// What the indexing kernels share: a dimension seen from outside, checked indices, positions sorted
// by index.
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/tensor.h"
#include "kernels/index/position.h"

namespace heed::kernels {

/// A shape around one dimension: [outer, n, inner].
struct Extents {
  int64_t outer = 1, n = 1, inner = 1;
};

inline Extents split_at(const Shape& shape, int dim) {
  Extents e;
  for (int i = 0; i < dim; ++i) e.outer *= shape[i];
  e.n = shape[dim];
  for (int i = dim + 1; i < shape.rank(); ++i) e.inner *= shape[i];
  return e;
}

/// Indices (i64 or i32) in row-major order, wherever they lie (a device's are waited for); one
/// outside [0, n) is an error that names it and its position.
inline std::vector<int64_t> read_index(const Tensor& index, int64_t n, const char* op) {
  HEED_CHECK(index.dtype() == DType::i64 || index.dtype() == DType::i32,
             "{}: indices are {}, need i64 or i32", op, index);
  std::vector<int64_t> ids = index.to_vector<int64_t>();
  for (size_t i = 0; i < ids.size(); ++i) {
    HEED_CHECK(ids[i] >= 0 && ids[i] < n, "{}: index {} at position {} is outside [0, {})", op,
               ids[i], position_of(static_cast<int64_t>(i), index.shape()), n);
  }
  return ids;
}

/// Rows a thread should take at a time.
inline int64_t grain_for(int64_t row_elements) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, row_elements));
}

/// Positions k by ascending ids[k], equal ones in order; those of id n are order[start[n]] up to
/// order[start[n + 1]].
struct ById {
  std::vector<int64_t> start, order;

  ById(const std::vector<int64_t>& ids, int64_t n)
      : start(static_cast<size_t>(n) + 1), order(ids.size()) {
    for (const int64_t id : ids) ++start[static_cast<size_t>(id) + 1];
    std::partial_sum(start.begin(), start.end(), start.begin());
    std::vector<int64_t> next(start.begin(), start.end() - 1);
    for (size_t k = 0; k < ids.size(); ++k) {
      order[static_cast<size_t>(next[static_cast<size_t>(ids[k])]++)] = static_cast<int64_t>(k);
    }
  }
};

}  // namespace heed::kernels
