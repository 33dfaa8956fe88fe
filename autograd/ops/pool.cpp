#include "autograd/ops/pool.h"

#include <algorithm>

#include "autograd/ops/compare.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/spatial.h"
#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/unary.h"
#include "kernels/pool/max_pool.h"
#include "kernels/reduce/reduce.h"

namespace heed {
namespace {

kernels::PoolGeometry geometry_of(const char* op, const Tensor& x, const PoolOptions& options) {
  const int rank = spatial_rank(op, x);
  return {spatial_values(op, "kernel", options.kernel, rank),
          spatial_values(op, "stride", options.stride.rank() == 0 ? options.kernel : options.stride,
                         rank),
          spatial_values(op, "padding", options.padding, rank),
          spatial_values(op, "dilation", options.dilation, rank)};
}

}  // namespace

Tensor max_pool(const Tensor& x, const PoolOptions& options) {
  const kernels::PoolGeometry geometry = geometry_of("max_pool", x, options);
  const auto [y, pixel] = kernels::max_pool(x, geometry, options.ceil);
  if (trace::on())
    trace::report("max_pool", {x}, {y},
                  {{"kernel", geometry.kernel},
                   {"stride", geometry.stride},
                   {"padding", geometry.padding},
                   {"dilation", geometry.dilation}});
  return record("max_pool", {x}, y,
                [pixel = save(pixel), shape = x.shape(), geometry](const Tensor& dy) {
                  return Gradients{kernels::max_pool_backward(dy, *pixel, shape, geometry)};
                });
}

Tensor avg_pool(const Tensor& x, const PoolOptions& options) {
  const kernels::PoolGeometry g = geometry_of("avg_pool", x, options);
  std::vector<kernels::AxisMap> axes;
  for (int d = 0; d + 2 < x.rank(); ++d) {
    HEED_CHECK(g.dilation[d] == 1, "avg_pool: dilation {} is not 1", g.dilation);
    const int64_t in = x.size(d + 1), padding = g.padding[d];
    const int64_t out = kernels::pooled_extent(in, g, d, options.ceil, "avg_pool");
    kernels::AxisMap axis(in);
    for (int64_t o = 0; o < out; ++o) {
      const int64_t begin = o * g.stride[d] - padding;
      const int64_t end = std::min(begin + g.kernel[d], in + padding);  // padding counts, no more
      const int64_t first = std::max<int64_t>(begin, 0), last = std::min(end, in);
      const int64_t count = options.count_include_pad ? end - begin : last - first;
      for (int64_t i = first; i < last; ++i) axis.add(i, 1.0 / static_cast<double>(count));
      axis.end_row();
    }
    axes.push_back(std::move(axis));
  }
  return separable("avg_pool", x, axes);
}

Tensor adaptive_avg_pool(const Tensor& x, const Shape& out) {
  const int rank = spatial_rank("adaptive_avg_pool", x);
  const Shape extents = spatial_values("adaptive_avg_pool", "out", out, rank);
  std::vector<kernels::AxisMap> axes;
  for (int d = 0; d < rank; ++d) {
    const int64_t in = x.size(d + 1), bins = extents[d];
    HEED_CHECK(in > 0 && bins > 0, "adaptive_avg_pool: {} bins over dimension {} of {}", bins,
               d + 1, x);
    kernels::AxisMap axis(in);
    for (int64_t o = 0; o < bins; ++o) {
      const int64_t first = o * in / bins, last = ((o + 1) * in + bins - 1) / bins;
      for (int64_t i = first; i < last; ++i) axis.add(i, 1.0 / static_cast<double>(last - first));
      axis.end_row();
    }
    axes.push_back(std::move(axis));
  }
  return separable("adaptive_avg_pool", x, axes);
}

Tensor masked_mean(const Tensor& x, const Tensor& mask) {
  HEED_CHECK(x.rank() == 3 && mask.shape() == (Shape{x.size(0), x.size(1)}) &&
                 mask.dtype() == DType::boolean,
             "masked_mean: x {}, needs [B, N, C], and mask {}, needs bool[B, N]", x, mask);
  trace::AsOne one;
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor held = views::unsqueeze(mask, 2).to(x.device());
  const Tensor count = kernels::sum(kernels::cast(held, wide), {1}, false);
  // the sum is taken in x's dtype, which rounds a result of bf16 twice
  const Tensor total = sum(masked_fill(x, logical_not(held), 0.0), {1});
  const Tensor y =
      div(total, kernels::cast(clamp(count, 1.0, static_cast<double>(x.size(1)) + 1), x.dtype()));
  one.report("masked_mean", {x, mask}, {y});
  return y;
}

}  // namespace heed
