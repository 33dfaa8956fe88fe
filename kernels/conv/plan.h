// A convolution's sizes, checked and brought to three spatial dimensions.
#pragma once

#include <array>

#include "core/work.h"
#include "kernels/conv/conv.h"

namespace heed::kernels {

struct ConvPlan {
  using Three = std::array<int64_t, 3>;
  int rank =
      2;  // spatial dimensions of the operands; unused leading entries below are 1 (0 for padding)
  int64_t batch = 0, in_channels = 0, out_channels = 0, groups = 1;
  Three in, out, kernel, stride, padding, dilation;

  int64_t in_pixels() const { return in[0] * in[1] * in[2]; }
  int64_t out_pixels() const { return out[0] * out[1] * out[2]; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  bool depthwise() const { return groups > 1 && groups == in_channels && groups == out_channels; }
  bool dilated() const { return dilation[0] > 1 || dilation[1] > 1 || dilation[2] > 1; }
  double flops_per_image() const {
    return 2.0 * static_cast<double>(out_pixels() * taps() * out_channels) *
           static_cast<double>(in_channels / groups);
  }
  /// Reports the arithmetic of one pass (core/work.h).
  void count() const { count_flops(flops_per_image() * static_cast<double>(batch)); }
  bool operator==(const ConvPlan&) const = default;
};

/// Throws naming `op` when shapes and geometry do not fit each other.
ConvPlan plan_conv(const Shape& x, const Shape& weight, const ConvGeometry& geometry,
                   const char* op);

}  // namespace heed::kernels
