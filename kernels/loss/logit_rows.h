// What cross_entropy.cpp's SIMD functions work on: rows of V logits of the dtype named.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

struct LogitRows {
  DType dtype;           ///< of the logits
  DType gradient_dtype;  ///< of the gradient
  int64_t classes;
  double smoothing;
  double scale;            ///< of the gradient
  const int64_t* targets;  ///< Targets::kIgnored where ignored
  const void* logits;      ///< [R, V]
  void* losses;            ///< [R], accumulation type; null in the backward pass
  void* lse;               ///< [R], accumulation type; null when in place
  void* gradient;          ///< [R, V]; null for losses alone
};

extern DeviceKernel<void(const LogitRows&, int64_t rows)> cross_entropy_cuda;

}  // namespace heed::kernels
