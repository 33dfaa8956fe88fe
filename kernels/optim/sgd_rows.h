// What sgd.cpp's SIMD functions work on: one tensor's elements and the constants of the step.
#pragma once

#include "core/dtype.h"

namespace heed::kernels {

struct SgdRows {
  DType dtype;  ///< of parameter and gradient
  void* parameter;
  const void* gradient;
  void* buffer;  ///< accumulation type; null without momentum
  double grad_scale, lr, momentum, weight_decay;
  bool nesterov;
};

}  // namespace heed::kernels
