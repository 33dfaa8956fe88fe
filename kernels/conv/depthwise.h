// Depthwise convolution in one or two dimensions, channels last: one filter a channel, any stride
// and dilation; f32 and bf16, products and sums in f32.
//
// An image's 16 neighbouring channels are copied into a padded buffer that the cache holds, row by
// row, and every vector of a result then reads whole vectors there: 2 FLOP for each 4 bytes of L1,
// and each byte of memory once. Work is cut into (image, 16 channels), so nothing depends on the
// thread count.
#pragma once

#include "kernels/conv/onednn.h"

namespace heed::kernels {

/// Whether these kernels are the faster ones. Of single-thread CPU times beside oneDNN 2.6
/// (build/bench_conv; AVX-512) they are
///   forward          5 times faster from a dilated row's reach of more than 12 pixels (7 taps 3
///                    apart), half as fast otherwise
///   input gradient   4 to 6 times faster when dilated, about level otherwise
///   weight gradient  4 to 30 times faster when dilated or with a side of 5 or more taps, half as
///                    fast otherwise
/// so they take those depthwise convolutions, in one or two dimensions; but no input gradient of a
/// stride, nor one whose padding exceeds dilation (kernel - 1): it is not a convolution then.
bool own_depthwise(const ConvPlan& plan, ConvPass pass);

/// y [B, out..., C], of x and weight [C, kernel..., 1] f32 and bias [C] f32 or null.
void depthwise_forward(const ConvPlan& plan, DType dtype, const void* x, const float* weight,
                       const float* bias, void* y);
void depthwise_input_gradient(const ConvPlan& plan, DType dtype, const void* dy,
                              const float* weight, void* dx);
/// dw [C, kernel..., 1] in f32.
void depthwise_weight_gradient(const ConvPlan& plan, DType dtype, const void* dy, const void* x,
                               float* dw);

}  // namespace heed::kernels
