// A thread an element of the result, which gathers its taps in the order of the entries.
// Neighbouring threads take neighbouring channels.
#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/separable/device_separable.h"

namespace heed::kernels::cuda {
namespace {

template <class T>
__global__ void gather_taps(DeviceSeparable s, int64_t elements) {
  using A = accumulate_t<T>;
  const DeviceAxisMap &a0 = s.axis[0], &a1 = s.axis[1], &a2 = s.axis[2];
  for_each(elements, [&](int64_t e) {
    int64_t rest = e / s.channels;
    const int64_t o2 = rest % a2.out;
    rest /= a2.out;
    const int64_t o1 = rest % a1.out;
    rest /= a1.out;
    const int64_t o0 = rest % a0.out, b = rest / a0.out;
    const T* x =
        static_cast<const T*>(s.x) + b * a0.in * a1.in * a2.in * s.channels + e % s.channels;
    A sum = 0;
    for (int64_t i = a0.start[o0]; i < a0.start[o0 + 1]; ++i) {
      for (int64_t j = a1.start[o1]; j < a1.start[o1 + 1]; ++j) {
        const int64_t row = (a0.index[i] * a1.in + a1.index[j]) * a2.in;
        const double outer = a0.weight[i] * a1.weight[j];
        for (int64_t k = a2.start[o2]; k < a2.start[o2 + 1]; ++k) {
          sum += static_cast<A>(outer * a2.weight[k]) *
                 static_cast<A>(x[(row + a2.index[k]) * s.channels]);
        }
      }
    }
    static_cast<T*>(s.y)[e] = static_cast<T>(sum);
  });
}

void run(const DeviceSeparable& s) {
  int64_t elements = s.batch * s.channels;
  for (const DeviceAxisMap& axis : s.axis) elements *= axis.out;
  dispatch_floating(s.dtype,
                    [&](auto type) { launch_each(gather_taps<decltype(type)>, elements, s); });
}

}  // namespace

void provide_separable() { separable_cuda.provide(run); }

}  // namespace heed::kernels::cuda
