// Loops over several operands of one shape, each with its own strides.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "core/tensor.h"
#include "kernels/strided_plan.h"

namespace heed::kernels {

/// The strides of x seen under `shape`: 0 where x is repeated. Throws naming `op` unless x
/// broadcasts to it.
Shape broadcast_strides(const Tensor& x, const Shape& shape, const char* op);

/// A loop nest whose dimensions of extent 1 are dropped and whose neighbours are merged wherever
/// every operand allows, so that its rows (the last dimension) are as long as they can be.
class StridedLoop {
 public:
  static constexpr int kMaxOperands = StridedPlan::kMaxOperands;
  using Offsets = std::array<int64_t, kMaxOperands>;

  /// Strides in elements, one Shape an operand. The order of the dimensions is kept.
  StridedLoop(const Shape& shape, std::span<const Shape> strides);

  int64_t numel() const { return numel_; }
  const Shape& extents() const { return extents_; }  // of rank 1 or more
  const Shape& strides(int operand) const { return strides_[static_cast<size_t>(operand)]; }
  /// Stride within a row.
  int64_t step(int operand) const { return strides(operand)[-1]; }

  /// The same as plain data.
  StridedPlan plan() const;

  /// Calls fn(offsets, n) for each piece of a row within [begin, end) of the row-major order: n
  /// elements, operand k's first at offsets[k].
  template <class Fn>
  void for_each_row(int64_t begin, int64_t end, Fn&& fn) const;

 private:
  Shape extents_;
  std::array<Shape, kMaxOperands> strides_;
  int operands_ = 0;
  int64_t numel_ = 0;
};

template <class Fn>
void StridedLoop::for_each_row(int64_t begin, int64_t end, Fn&& fn) const {
  if (begin >= end) return;
  const int last = extents_.rank() - 1;
  const size_t operands = static_cast<size_t>(operands_);
  Shape index = extents_;
  Offsets offsets{};
  int64_t rest = begin;
  for (int d = last; d >= 0; --d) {
    index[d] = rest % extents_[d];
    rest /= extents_[d];
    for (size_t k = 0; k < operands; ++k) offsets[k] += index[d] * strides_[k][d];
  }
  while (begin < end) {
    const int64_t n = std::min(extents_[last] - index[last], end - begin);
    fn(static_cast<const Offsets&>(offsets), n);
    begin += n;
    for (size_t k = 0; k < operands; ++k) offsets[k] -= index[last] * strides_[k][last];
    index[last] = 0;
    for (int d = last - 1; d >= 0; --d) {
      for (size_t k = 0; k < operands; ++k) offsets[k] += strides_[k][d];
      if (++index[d] < extents_[d]) break;
      for (size_t k = 0; k < operands; ++k) offsets[k] -= strides_[k][d] * extents_[d];
      index[d] = 0;
    }
  }
}

}  // namespace heed::kernels
