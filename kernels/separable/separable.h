// Linear maps that act on each spatial axis by a small sparse matrix: average pooling, resizing,
// padding by copies, unfolding; and their adjoints, which are maps of the same kind.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace heed::kernels {

/// A sparse matrix [out, in] by rows: row o holds entries start[o] ... start[o + 1].
struct AxisMap {
  int64_t in = 0;
  std::vector<int64_t> start = {0};
  std::vector<int64_t> index;  ///< column, in [0, in)
  std::vector<double> weight;

  explicit AxisMap(int64_t extent) : in(extent) {}
  int64_t out() const { return static_cast<int64_t>(start.size()) - 1; }
  /// An entry of the row that is being added.
  void add(int64_t column, double value);
  void end_row() { start.push_back(static_cast<int64_t>(index.size())); }
  AxisMap transposed() const;
};

AxisMap identity_map(int64_t extent);

/// y[b, o..., c] = sum over i... of the product of the axes' weights [o, i] times x[b, i..., c]:
/// x [B, in..., C] (f32, bf16, f64) with one to three spatial dimensions, one map each ->
/// [B, out..., C]. Sums are f32 (f64 for f64), in the order of the entries.
Tensor separable(const Tensor& x, const std::vector<AxisMap>& axes, const char* op);

}  // namespace heed::kernels
