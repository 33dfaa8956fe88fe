#include "autograd/ops/interpolate.h"

#include <algorithm>
#include <cmath>

#include "autograd/spatial.h"

namespace heed {
namespace {

void nearest_row(kernels::AxisMap& axis, int64_t o, int64_t out) { axis.add(o * axis.in / out, 1); }

double position_of(int64_t o, int64_t in, int64_t out) {
  return (static_cast<double>(o) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5;
}

void linear_row(kernels::AxisMap& axis, int64_t o, int64_t out) {
  const double position = std::max(position_of(o, axis.in, out), 0.0);
  const int64_t first = std::min(static_cast<int64_t>(position), axis.in - 1);
  const double part = position - static_cast<double>(first);
  axis.add(first, 1 - part);
  axis.add(std::min(first + 1, axis.in - 1), part);
}

// Keys' kernel at distance t: below 1 and between 1 and 2.
double cubic_weight(double t) {
  constexpr double a = -0.75;
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return a * (((t - 5) * t + 8) * t - 4);
}

void cubic_row(kernels::AxisMap& axis, int64_t o, int64_t out) {
  const double position = position_of(o, axis.in, out), base = std::floor(position);
  for (int64_t k = -1; k <= 2; ++k) {
    const int64_t i = static_cast<int64_t>(base) + k;
    const double distance = std::abs(position - base - static_cast<double>(k));
    axis.add(std::clamp<int64_t>(i, 0, axis.in - 1), cubic_weight(distance));
  }
}

}  // namespace

Tensor interpolate(const Tensor& x, const Shape& size, Interpolation mode) {
  const int rank = spatial_rank("interpolate", x);
  const Shape extents = spatial_values("interpolate", "size", size, rank);
  std::vector<kernels::AxisMap> axes;
  for (int d = 0; d < rank; ++d) {
    const int64_t out = extents[d];
    HEED_CHECK(out > 0 && x.size(d + 1) > 0, "interpolate: {} to size {}", x, extents);
    kernels::AxisMap axis(x.size(d + 1));
    for (int64_t o = 0; o < out; ++o) {
      if (mode == Interpolation::nearest) nearest_row(axis, o, out);
      if (mode == Interpolation::linear) linear_row(axis, o, out);
      if (mode == Interpolation::cubic) cubic_row(axis, o, out);
      axis.end_row();
    }
    axes.push_back(std::move(axis));
  }
  return separable("interpolate", x, axes);
}

}  // namespace heed
