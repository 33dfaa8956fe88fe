// What distribution.cpp's SIMD functions and distribution.cu work on.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"
#include "kernels/loss/kinds.h"

namespace heed::kernels {

struct DistributionRows {
  RowLoss kind;
  DType dtype;
  int64_t classes;
  double parameter;
  const void *logits, *targets;  ///< dtype; targets null for z
  void* losses;                  ///< accumulation type; null in the backward pass
  const void* scales;            ///< accumulation type; null in the forward pass
  void* gradient;                ///< dtype; null in the forward pass
};

extern DeviceKernel<void(const DistributionRows&, int64_t rows)> distribution_cuda;

}  // namespace heed::kernels
