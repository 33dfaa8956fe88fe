// Differentiable convolutions, channels last: x [B, spatial..., C] with one to three spatial
// dimensions.
#pragma once

#include "autograd/tape.h"
#include "kernels/conv/conv.h"

namespace heed {

/// One number for every spatial dimension, or one each.
struct ConvOptions {
  Shape stride = {1};
  Shape padding = {0};
  Shape dilation = {1};
  int64_t groups = 1;
  Shape output_padding = {0};  ///< conv_transpose: rows added at the far side of the result
};

/// Cross-correlation: x [B, in..., C], weight [Cout, kernel..., C / groups], bias [Cout] or
/// undefined -> [B, out..., Cout] in x's dtype, out = (in + 2 padding - dilation (kernel - 1) - 1)
/// / stride + 1. A weight of another floating dtype is rounded for the products; its gradient comes
/// in its own.
Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
            const ConvOptions& options = {});

/// The adjoint of conv in x ("deconvolution"): x [B, in..., C], weight [C, kernel..., Cout /
/// groups] -> [B, out..., Cout], out = (in - 1) stride - 2 padding + dilation (kernel - 1) +
/// output_padding + 1.
Tensor conv_transpose(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                      const ConvOptions& options = {});

}  // namespace heed
