// What max_pool.cu works on: x [batch, pixels, channels], y and pixel [batch, windows, channels].
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"
#include "kernels/window_axis.h"

namespace heed::kernels {

/// Forward: y and pixel from x. Backward (dy is there): dx from dy and pixel.
struct DeviceMaxPool {
  DType dtype;
  int64_t batch, channels;
  WindowGrid grid;
  const void* x = nullptr;
  void* y = nullptr;
  const void* dy = nullptr;
  void* dx = nullptr;
  int32_t* pixel = nullptr;
};
extern DeviceKernel<void(const DeviceMaxPool&)> max_pool_cuda;

}  // namespace heed::kernels
