// What norm.cpp's SIMD functions work on: rows of C elements, pointers of the dtype named.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace heed::kernels {

struct NormForwardRows {
  DType dtype;
  bool centred;  ///< layer norm: subtract the mean
  int64_t width;
  double eps;
  const void* x;         ///< dtype
  const void* residual;  ///< dtype, or null
  const void* weight;    ///< accumulation type, or null
  const void* bias;      ///< accumulation type, or null
  void* sum;             ///< dtype; null without a residual
  void* out;             ///< dtype
  void* mean;            ///< accumulation type; null unless centred
  void* rstd;            ///< accumulation type
};

struct NormBackwardRows {
  DType dtype;
  bool centred;
  int64_t width;
  const void* x;       ///< dtype: what was normalised
  const void* dy;      ///< dtype
  const void* dsum;    ///< dtype, or null
  const void* weight;  ///< accumulation type, or null
  const void* mean;    ///< accumulation type; null unless centred
  const void* rstd;    ///< accumulation type
  void* dx;            ///< dtype, or null
};

}  // namespace heed::kernels
