// What l2_normalize.cpp's SIMD functions work on: blocks [n, inner] whose columns are the vectors.
#pragma once

#include <cstdint>

#include "core/dtype.h"

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

}  // namespace heed::kernels
