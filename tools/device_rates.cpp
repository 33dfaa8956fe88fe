#include "tools/device_rates.h"

#include <algorithm>

#include "core/device_runtime.h"
#include "core/tensor.h"
#include "kernels/copy/copy.h"
#include "kernels/matmul/matmul.h"
#include "kernels/random/fill.h"
#include "tools/device_timing.h"

namespace heed::tools {

double copy_rate(Device device, int64_t bytes, double seconds) {
  const Shape shape{bytes / 4};
  const Tensor from = Tensor::full(shape, 1.0, DType::f32, device);
  const Tensor to = Tensor::full(shape, 0.0, DType::f32, device);
  double best = best_seconds(
      seconds, [&] { kernels::copy(from, to); }, device);
  if (!device.is_cpu()) {
    const auto size = static_cast<size_t>(from.bytes());
    const double drivers = best_seconds(
        seconds, [&] { copy_bytes(device, to.raw(), device, from.raw(), size); }, device);
    best = std::min(best, drivers);
  }
  return 2.0 * static_cast<double>(from.bytes()) / best;
}

double product_rate(Device device, DType dtype, int64_t size, double seconds) {
  const auto normal = [&](uint64_t purpose) {
    const Tensor t = Tensor::empty({size, size}, dtype);
    kernels::fill_normal(t, 0.0, 1.0, {1, purpose, 0});
    return t.to(device);
  };
  const Tensor a = normal(1), b = normal(2), out = Tensor::empty({size, size}, dtype, device);
  const auto n = static_cast<double>(size);
  return 2.0 * n * n * n /
         best_seconds(
             seconds, [&] { kernels::gemm(a, b, out); }, device);
}

}  // namespace heed::tools
