// Convolution on a device. f32, bf16 and f64; operands are those of conv.h, checked.
#pragma once

#include "kernels/conv/plan.h"

namespace heed::kernels {

void conv_on_device(const ConvPlan& plan, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Tensor& y);
void conv_input_gradient_on_device(const ConvPlan& plan, const Tensor& dy, const Tensor& weight,
                                   const Tensor& dx);
/// dw in f32 (f64 for f64).
void conv_weight_gradient_on_device(const ConvPlan& plan, const Tensor& dy, const Tensor& x,
                                    const Tensor& dw);

}  // namespace heed::kernels
