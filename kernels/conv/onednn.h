// Convolutions of a few images on the calling thread, by oneDNN.
#pragma once

#include "kernels/conv/plan.h"

namespace heed::kernels {

enum class ConvPass { forward, input_gradient, weight_gradient };

/// A weight in the layout that a pass wants to read: made once, shared by the threads. `bias` as in
/// the pass.
struct PackedWeight {
  Tensor bytes;
};
PackedWeight pack_weight(const ConvPlan& plan, ConvPass pass, DType dtype, const Tensor& weight,
                         bool bias = false);

/// y = conv(x) for plan.batch images; bias is f32 or null.
void conv_forward_onednn(const ConvPlan& plan, DType dtype, const void* x,
                         const PackedWeight& weight, const float* bias, void* y);
void conv_input_gradient_onednn(const ConvPlan& plan, DType dtype, const void* dy,
                                const PackedWeight& weight, void* dx);
/// dw, f32 in the order of heed's weights.
void conv_weight_gradient_onednn(const ConvPlan& plan, DType dtype, const void* dy, const void* x,
                                 float* dw);

}  // namespace heed::kernels
