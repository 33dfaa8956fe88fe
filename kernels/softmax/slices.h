// What softmax.cpp's SIMD functions work on: blocks of [n, inner] elements of the dtype named.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

struct SoftmaxSlices {
  DType dtype;
  bool log;
  int64_t n;       ///< extent that is normalised
  int64_t inner;   ///< elements between two neighbours of a slice
  const void* in;  ///< x forward, dy backward
  const void* y;   ///< the result, backward alone; null forward
  void* out;
};

/// All `outer` blocks of the slices.
extern DeviceKernel<void(const SoftmaxSlices&, int64_t outer)> softmax_cuda;

}  // namespace heed::kernels
