// What conv.cu works on: x [batch, pixels, channels], windows of taps, channels-last.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"
#include "kernels/window_axis.h"

namespace heed::kernels {

/// The patches of x, [groups, batch, windows, taps, channels / groups], zero where a window leaves
/// the image; or x as the sum of patches.
struct ConvPatches {
  DType dtype;
  int64_t batch, channels, groups;
  WindowGrid grid;
  void *x, *patches;
};
extern DeviceKernel<void(const ConvPatches&)> gather_patches_cuda, sum_patches_cuda;

/// A filter for each channel: weight [channels, taps] of the dtype.
struct DepthwiseConv {
  DType dtype;
  int64_t batch, channels;
  WindowGrid grid;
  const void *x = nullptr, *weight = nullptr;
  const void* bias = nullptr;  ///< [channels], f64 for f64, else f32; null for none
  const void* dy = nullptr;    ///< [batch, windows, channels]
  void *y = nullptr, *dx = nullptr, *dw = nullptr;  ///< dw: f64 for f64, else f32
};
extern DeviceKernel<void(const DepthwiseConv&)> depthwise_cuda, depthwise_input_gradient_cuda,
    depthwise_weight_gradient_cuda;

}  // namespace heed::kernels
