// Convolution in one, two and three dimensions, channels last.
//
//   y[b, o, co] = bias[co] + sum over taps k and channels c of w[co, k, c] * x[b, o * stride + k *
//   dilation - padding, c]
//
// x [B, spatial..., C], weight [Cout, kernel..., C / groups], y [B, out..., Cout], with
// out = (in + 2 padding - dilation (kernel - 1) - 1) / stride + 1.
//
// f32 and bf16 run on oneDNN (depthwise ones partly on our own kernels: depthwise.h), a chunk of
// the batch at a time on one thread; weight gradients are summed over fixed chunks. So results do
// not depend on the thread count. f64 (for checks) has a plain kernel.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

struct ConvGeometry {
  Shape stride;   ///< one a spatial dimension
  Shape padding;  ///< zeros on both sides
  Shape dilation;
  int64_t groups = 1;
};

/// y's shape; throws when the operands do not fit each other.
Shape conv_output_shape(const Shape& x, const Shape& weight, const ConvGeometry& geometry);

/// bias [Cout] or undefined. The weight is rounded to x's dtype for the products.
Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ConvGeometry& geometry);

/// dx of the given shape, in dy's dtype. Also the forward pass of a transposed convolution.
Tensor conv_input_gradient(const Tensor& dy, const Tensor& weight, const Shape& x,
                           const ConvGeometry& geometry);

/// dw of the given shape, in f32 (f64 for f64).
Tensor conv_weight_gradient(const Tensor& dy, const Tensor& x, const Shape& weight,
                            const ConvGeometry& geometry);

}  // namespace heed::kernels
