// What rotary.cu works on.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

/// y = x [B, H, N, D] rotated by the tables [N or B N, pairs] (accumulation type); strides of the
/// first three dimensions in elements, rows contiguous.
struct RotaryRows {
  DType dtype;
  bool interleaved, inverse;
  int64_t batch, heads, rows, width, pairs, rotated_heads;
  int64_t table_batch_stride;
  int64_t x_stride[3], y_stride[3];
  const void *cos, *sin, *x;
  void* y;
};
extern DeviceKernel<void(const RotaryRows&)> rotary_cuda;

}  // namespace heed::kernels
