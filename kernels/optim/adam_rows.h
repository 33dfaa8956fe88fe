// What adam.cpp's SIMD functions work on: one tensor's elements and the constants of the step.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"
#include "kernels/optim/chunk.h"

namespace heed::kernels {

struct AdamRows {
  DType dtype;  ///< of parameter and gradient
  void* parameter;
  const void* gradient;
  void* exp_avg;     ///< accumulation type
  void* exp_avg_sq;  ///< accumulation type
  double grad_scale;
  double add_decay;  ///< coupled decay: added to the gradient, times the parameter
  double keep;       ///< decoupled decay: what is left of the parameter
  double beta1, beta2;
  double step_size;   ///< lr / (1 - beta1^t)
  double correction;  ///< 1 / sqrt(1 - beta2^t)
  double eps;
};

/// rows [..] and chunks [count] lie on the device.
extern DeviceKernel<void(const AdamRows* rows, const Chunk* chunks, int64_t count)> adam_cuda;

}  // namespace heed::kernels
