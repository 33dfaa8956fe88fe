// What l2_normalize.cpp's SIMD functions and l2_normalize.cu work on: blocks [n, inner] whose
// columns are the vectors.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

struct UnitSlices {
  DType dtype;
  int64_t n, inner;
  double eps;
  const void* x;
  const void* dy;  ///< null in the forward pass
  void* inverse;   ///< [blocks, inner], accumulation type: written forward, read backward
  void* out;
};

extern DeviceKernel<void(const UnitSlices&, int64_t blocks)> l2_normalize_cuda;

}  // namespace heed::kernels
