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
    if (numel <= 0x7fffffff) {  // divisions of 32 bits are much faster
      auto rest = static_cast<uint32_t>(i);
      for (int d = dims - 1; d > 0; --d) {
        const auto extent = static_cast<uint32_t>(extents[d]);
        const uint32_t next = rest / extent, index = rest - next * extent;
        for (int k = 0; k < kOperands; ++k) at[k] += index * strides[k][d];
        rest = next;
      }
      for (int k = 0; k < kOperands; ++k) at[k] += rest * strides[k][0];
      return;
    }
    int64_t rest = i;
    for (int d = dims - 1; d >= 0; --d) {
      const int64_t index = rest % extents[d];
      for (int k = 0; k < kOperands; ++k) at[k] += index * strides[k][d];
      rest /= extents[d];
    }
  }
};

}  // namespace heed::kernels
