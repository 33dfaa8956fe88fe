#include "kernels/optim/units.h"

#include <algorithm>
#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/optim/device_adafactor.h"

namespace heed::kernels {

DeviceKernel<void(const DeviceUnits&)> clip_units_cuda;

namespace {

// Eight running sums, in an order that depends on n alone.
template <class T>
double squares(const T* x, int64_t n) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int k = 0; k < 8; ++k) {
      const double v = static_cast<double>(static_cast<accumulate_t<T>>(x[i + k]));
      sums[k] += v * v;
    }
  }
  for (; i < n; ++i) {
    const double v = static_cast<double>(static_cast<accumulate_t<T>>(x[i]));
    sums[0] += v * v;
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

}  // namespace

void clip_units(const Tensor& parameter, const Tensor& gradient, double factor, double eps) {
  const char* op = "clip_units";
  HEED_CHECK(parameter.shape() == gradient.shape() && parameter.is_contiguous() &&
                 gradient.is_contiguous(),
             "{}: a gradient of {} for a parameter of {}", op, gradient, parameter);
  if (gradient.numel() == 0) return;
  const int64_t units = parameter.rank() < 2 ? 1 : parameter.size(0);
  const int64_t width = parameter.numel() / units;
  if (parameter.device().is_cuda()) {
    clip_units_cuda({op, parameter, gradient}, {parameter.dtype(), gradient.dtype(), units, width,
                                                factor, eps, parameter.raw(), gradient.raw()});
    gradient.bump_version();
    return;
  }
  require_cpu(parameter.device(), op);
  dispatch_floating(parameter.dtype(), op, [&](auto parameter_type) {
    dispatch_floating(gradient.dtype(), op, [&](auto gradient_type) {
      using P = decltype(parameter_type);
      using G = decltype(gradient_type);
      const P* p = parameter.data<P>();
      G* g = gradient.data<G>();
      parallel_for(units, std::max<int64_t>(1, 16384 / width), [&](int64_t begin, int64_t end) {
        for (int64_t unit = begin; unit < end; ++unit) {
          G* slope = g + unit * width;
          const double size = std::sqrt(squares(p + unit * width, width));
          const double norm = std::sqrt(squares(slope, width));
          const double limit = factor * std::max(size, eps);
          if (!(norm > limit)) continue;
          const auto scale = static_cast<accumulate_t<G>>(limit / norm);
          for (int64_t i = 0; i < width; ++i) {
            slope[i] = G(static_cast<accumulate_t<G>>(slope[i]) * scale);
          }
        }
      });
    });
  });
  gradient.bump_version();
}

}  // namespace heed::kernels
