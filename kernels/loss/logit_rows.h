// What cross_entropy.cpp's SIMD functions work on: rows of V logits of the dtype named.
#pragma once

#include <cstdint>

#include "core/dtype.h"

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

}  // namespace heed::kernels
