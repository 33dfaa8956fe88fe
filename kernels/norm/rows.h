// What norm.cpp's SIMD functions work on: rows of C elements, pointers of the dtype named.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"

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

/// On a device: `chunks` blocks share the rows out, and each leaves its sums of dweight and dbias
/// [chunks, width] (accumulation type, or null).
struct NormPartials {
  int64_t chunks;
  void* dweight;
  void* dbias;
};

extern DeviceKernel<void(const NormForwardRows&, int64_t rows)> norm_cuda;
extern DeviceKernel<void(const NormBackwardRows&, int64_t rows, const NormPartials&)>
    norm_backward_cuda;

}  // namespace heed::kernels
