// What the .cu files of reductions work on: x seen as [outer, n, inner], row-major.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

/// out[o, p, i] = sum of x[o, k, i] for k in the p-th piece of n; sums of the accumulation type, in
/// an order that depends on the sizes alone.
struct SumPieces {
  DType dtype;
  int64_t outer, n, inner, piece;
  const void* x;
  void* out;

  int64_t pieces() const { return (n + piece - 1) / piece; }
};
extern DeviceKernel<void(const SumPieces&)> sum_cuda;

/// Largest (or smallest) elements along n and where they are: the first of equals, the first NaN.
struct Extremes {
  DType dtype;
  bool largest;
  int64_t outer, n, inner;
  const void* x;
  void* values;
  int64_t* indices;
};
extern DeviceKernel<void(const Extremes&)> extremes_cuda;

/// out[o, indices[o, i], i] = values[o, i]; elements of `size` bytes.
struct ScatterOne {
  int64_t size, outer, n, inner;
  const void* values;
  const int64_t* indices;
  void* out;
};
extern DeviceKernel<void(const ScatterOne&)> scatter_one_cuda;

/// lse[r] = log sum exp x[r], or with dy: dx[r] = dy[r] e^(x[r] - lse[r]), 0 where lse is
/// -infinity.
struct LogSumExpRows {
  DType dtype;
  int64_t rows, n;
  const void* x;
  void* lse;       ///< accumulation type; read with dy
  const void* dy;  ///< accumulation type, or null
  void* dx;
};
extern DeviceKernel<void(const LogSumExpRows&)> logsumexp_cuda;

}  // namespace heed::kernels
