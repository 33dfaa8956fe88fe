// What separable.cu works on: x [batch, in0, in1, in2, channels] -> y the same with out for in;
// axes that are not there are maps of 1 to 1.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

/// An AxisMap whose lists lie on the device.
struct DeviceAxisMap {
  int64_t in = 1, out = 1;
  const int64_t *start = nullptr, *index = nullptr;
  const double* weight = nullptr;
};

struct DeviceSeparable {
  DType dtype;
  int64_t batch, channels;
  DeviceAxisMap axis[3];
  const void* x;
  void* y;
};
extern DeviceKernel<void(const DeviceSeparable&)> separable_cuda;

}  // namespace heed::kernels
