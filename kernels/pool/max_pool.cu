// Max pooling, a thread an element: forward an element of y looks at its window, backward an
// element of dx at the windows that hold it, both in row-major order, so that no sum needs an
// atomic. Neighbouring threads take neighbouring channels.
#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/pool/device_pool.h"

namespace heed::kernels::cuda {
namespace {

template <class T>
__global__ void forward(DeviceMaxPool p, int64_t elements) {
  using A = accumulate_t<T>;
  for_each(elements, [&](int64_t element) {
    const int64_t c = element % p.channels, row = element / p.channels;
    const int64_t image = row / p.grid.windows() * p.grid.pixels();
    A best = -static_cast<A>(__builtin_huge_valf());
    int64_t at = -1;
    p.grid.for_pixels(row % p.grid.windows(), [&](int64_t pixel, int64_t) {
      const A value = static_cast<A>(static_cast<const T*>(p.x)[(image + pixel) * p.channels + c]);
      // the first pixel stands even at -infinity; NaN is larger than any number
      if (at < 0 || value > best || (value != value && best == best)) {
        best = value;
        at = pixel;
      }
    });
    static_cast<T*>(p.y)[element] = static_cast<T>(best);
    p.pixel[element] = static_cast<int32_t>(at);
  });
}

template <class T>
__global__ void backward(DeviceMaxPool p, int64_t elements) {
  using A = accumulate_t<T>;
  for_each(elements, [&](int64_t element) {
    const int64_t c = element % p.channels, row = element / p.channels;
    const int64_t own = row % p.grid.pixels(), image = row / p.grid.pixels() * p.grid.windows();
    A sum = 0;
    p.grid.for_holders(own, [&](int64_t window, int64_t) {
      const int64_t at = (image + window) * p.channels + c;
      if (p.pixel[at] == own) sum += static_cast<A>(static_cast<const T*>(p.dy)[at]);
    });
    static_cast<T*>(p.dx)[element] = static_cast<T>(sum);
  });
}

void run(const DeviceMaxPool& p) {
  const bool back = p.dy != nullptr;
  const int64_t rows = p.batch * (back ? p.grid.pixels() : p.grid.windows());
  dispatch_floating(p.dtype, [&](auto type) {
    using T = decltype(type);
    launch_each(back ? backward<T> : forward<T>, rows * p.channels, p);
  });
}

}  // namespace

void provide_pool() { max_pool_cuda.provide(run); }

}  // namespace heed::kernels::cuda
