// What elementwise .cu files work on.
#pragma once

#include "kernels/device_kernel.h"
#include "kernels/elementwise/functions.h"
#include "kernels/strided_plan.h"

namespace heed::kernels {

/// out[k][i] = fn(in[0][i], ...) for the places of the loop, whose operands are the inputs, then
/// the outputs. An input without memory is one number.
struct ElementMap {
  static constexpr int kMaxInputs = 4, kMaxOutputs = 2;

  DType dtype;
  int inputs, outputs;
  StridedPlan loop;
  /// Elements that lie side by side in every operand (or are one number), aligned to 16 bytes: what
  /// a thread may read at once. The loop's last dimension counts groups of them when it is above 1.
  int lanes = 1;
  const void* in[kMaxInputs] = {};
  double number[kMaxInputs] = {};
  void* out[kMaxOutputs] = {};
};

using DeviceMapFn = void (*)(const ElementMap&);

/// The functions of unary.cu, binary.cu and parametric.cu; what inputs they take is said where the
/// CPU's are chosen.
extern DeviceKernel<DeviceMapFn(Unary)> unary_cuda, unary_backward_cuda;
extern DeviceKernel<DeviceMapFn(Binary)> binary_cuda, binary_backward_cuda;
extern DeviceKernel<DeviceMapFn()> div_denominator_cuda, swiglu_cuda, swiglu_backward_cuda;
extern DeviceKernel<DeviceMapFn(Parametric)> parametric_cuda, parametric_backward_cuda;

}  // namespace heed::kernels
