// What copy.cu works on.
#pragma once

#include "kernels/device_kernel.h"
#include "kernels/strided_plan.h"

namespace heed::kernels {

/// dst[i] = src[i] for the places of the loop: operand 0 is src, operand 1 dst.
struct StridedCopy {
  DType from, to;
  StridedPlan loop;
  /// The dimension along which src is contiguous where dst is contiguous along the last one, or -1.
  int transposed = -1;
  const void* src;
  void* dst;
};

extern DeviceKernel<void(const StridedCopy&)> strided_copy_cuda;

}  // namespace heed::kernels
