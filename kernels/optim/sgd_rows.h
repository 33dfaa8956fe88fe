// What sgd.cpp's SIMD functions work on: one tensor's elements and the constants of the step.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"
#include "kernels/optim/chunk.h"

namespace heed::kernels {

struct SgdRows {
  DType dtype;  ///< of parameter and gradient
  void* parameter;
  const void* gradient;
  void* buffer;  ///< accumulation type; null without momentum
  double grad_scale, lr, momentum, weight_decay;
  bool nesterov;
};

/// rows [..] and chunks [count] lie on the device.
extern DeviceKernel<void(const SgdRows* rows, const Chunk* chunks, int64_t count)> sgd_cuda;

}  // namespace heed::kernels
