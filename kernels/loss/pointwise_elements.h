// What pointwise.cpp's SIMD functions work on.
#pragma once

#include "core/dtype.h"
#include "kernels/loss/pointwise.h"

namespace heed::kernels {

struct PointwiseElements {
  Pointwise kind;
  DType dtype;
  double parameter, factor;
  const void *x, *target;              ///< dtype
  const void *weight, *positive, *dy;  ///< accumulation type, or null
  void* losses;                        ///< accumulation type, or null
  void *dx, *dtarget;                  ///< dtype, or null
};

}  // namespace heed::kernels
