#include "kernels/conv/plan.h"

namespace heed::kernels {
namespace {

ConvPlan::Three spread(const Shape& values, int64_t filler) {
  ConvPlan::Three out{filler, filler, filler};
  for (int i = 0; i < values.rank(); ++i)
    out[static_cast<size_t>(3 - values.rank() + i)] = values[i];
  return out;
}

Shape spatial_of(const Shape& shape) {
  return Shape(std::span(shape.begin() + 1, static_cast<size_t>(shape.rank() - 2)));
}

}  // namespace

ConvPlan plan_conv(const Shape& x, const Shape& weight, const ConvGeometry& g, const char* op) {
  const int rank = x.rank() - 2;
  HEED_CHECK(rank >= 1 && rank <= 3 && weight.rank() == x.rank(),
             "{}: x {} with weight {}; need [B, 1 to 3 spatial, C] and [Cout, kernel, C / groups]",
             op, x, weight);
  HEED_CHECK(g.stride.rank() == rank && g.padding.rank() == rank && g.dilation.rank() == rank,
             "{}: stride {}, padding {} and dilation {} for {} spatial dimensions", op, g.stride,
             g.padding, g.dilation, rank);
  ConvPlan p;
  p.rank = rank;
  p.batch = x[0];
  p.in_channels = x[-1];
  p.out_channels = weight[0];
  p.groups = g.groups;
  HEED_CHECK(p.groups >= 1 && p.in_channels % p.groups == 0 && p.out_channels % p.groups == 0 &&
                 weight[-1] == p.in_channels / p.groups,
             "{}: x {} with weight {} in {} groups (channels must divide by the groups, and the "
             "weight's last "
             "extent be channels / groups)",
             op, x, weight, p.groups);
  p.in = spread(spatial_of(x), 1);
  p.kernel = spread(spatial_of(weight), 1);
  p.stride = spread(g.stride, 1);
  p.padding = spread(g.padding, 0);
  p.dilation = spread(g.dilation, 1);
  for (size_t i = 0; i < 3; ++i) {
    HEED_CHECK(p.stride[i] >= 1 && p.dilation[i] >= 1 && p.padding[i] >= 0 && p.kernel[i] >= 1,
               "{}: stride {}, padding {}, dilation {}, weight {}", op, g.stride, g.padding,
               g.dilation, weight);
    const int64_t reach = p.dilation[i] * (p.kernel[i] - 1) + 1;
    HEED_CHECK(p.in[i] + 2 * p.padding[i] >= reach,
               "{}: x {} padded by {} is smaller than the kernel's reach {}", op, x, g.padding,
               reach);
    p.out[i] = (p.in[i] + 2 * p.padding[i] - reach) / p.stride[i] + 1;
  }
  return p;
}

Shape conv_output_shape(const Shape& x, const Shape& weight, const ConvGeometry& geometry) {
  const ConvPlan p = plan_conv(x, weight, geometry, "conv");
  Shape shape = x;
  for (int i = 0; i < p.rank; ++i) shape[1 + i] = p.out[static_cast<size_t>(3 - p.rank + i)];
  shape[-1] = p.out_channels;
  return shape;
}

}  // namespace heed::kernels
