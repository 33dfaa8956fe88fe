// What pointwise.cpp's SIMD functions and pointwise.cu work on.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"
#include "kernels/loss/kinds.h"

namespace heed::kernels {

struct PointwiseElements {
  Pointwise kind;
  DType dtype;
  double parameter, factor;
  const void *x, *target;              ///< dtype
  const void *weight, *positive, *dy;  ///< accumulation type, or null
  void* losses;                        ///< accumulation type, or null
  void *dx, *dtarget;                  ///< dtype, or null
  double* sums;                        ///< on a device: the losses of each piece, or null
};

/// Elements whose losses are added up together; pieces follow in f64, in order.
inline constexpr int64_t kPointwisePiece = 8192;

extern DeviceKernel<void(const PointwiseElements&, int64_t n)> pointwise_cuda;

}  // namespace heed::kernels
