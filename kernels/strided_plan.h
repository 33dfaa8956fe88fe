// A loop nest over strided operands as plain data, for kernels on a device.
#pragma once

#include <cstdint>

#include "core/element.h"

namespace heed::kernels {

struct StridedPlan {
  static constexpr int kMaxOperands = 6;
  static constexpr int kMaxDims = 8;

  int64_t numel = 0;
  int dims = 0;
  int64_t extents[kMaxDims] = {};
  int64_t strides[kMaxOperands][kMaxDims] = {};  ///< in elements

  /// Offsets in elements of the i-th place of the row-major order, for the first kOperands.
  template <int kOperands>
  HEED_HOST_DEVICE void offsets(int64_t i, int64_t (&at)[kOperands]) const {
    for (int k = 0; k < kOperands; ++k) at[k] = 0;
    const bool fits = numel <= 0x7fffffff;  // divisions of 32 bits are much faster
    int64_t rest = i;
    // not unrolled: every kernel over strided operands would be several times its size
#if defined(__CUDA_ARCH__)
#pragma unroll 1
#endif
    for (int d = dims - 1; d > 0; --d) {
      const int64_t next =
          fits ? int64_t{static_cast<uint32_t>(rest) / static_cast<uint32_t>(extents[d])}
               : rest / extents[d];
      const int64_t index = rest - next * extents[d];
      for (int k = 0; k < kOperands; ++k) at[k] += index * strides[k][d];
      rest = next;
    }
    for (int k = 0; k < kOperands; ++k) at[k] += rest * strides[k][0];
  }
};

}  // namespace heed::kernels
