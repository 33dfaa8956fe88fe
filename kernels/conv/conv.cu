// Convolution on a device: the patches whose product with the weight it is (on_device.cpp), and a
// filter for each channel directly. A thread an element, neighbouring threads neighbouring
// channels; every sum has one owner.
#include "kernels/conv/device_conv.h"
#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/cuda/shared.h"

namespace heed::kernels::cuda {
namespace {

template <class T>
__global__ void gather_patches(ConvPatches p, int64_t elements) {
  const int64_t own = p.channels / p.groups, taps = p.grid.taps(), windows = p.grid.windows();
  // an element of these is a window's, for one channel: its taps are `own` apart
  for_each(elements, [&](int64_t element) {
    const int64_t c = element % p.channels, row = element / p.channels;
    const int64_t image = row / windows;
    const T* x = static_cast<const T*>(p.x) + image * p.grid.pixels() * p.channels + c;
    T* to = static_cast<T*>(p.patches) + (c / own * p.batch * windows + row) * taps * own + c % own;
    for (int64_t k = 0; k < taps; ++k) to[k * own] = static_cast<T>(0.0f);
    p.grid.for_pixels(row % windows,
                      [&](int64_t pixel, int64_t tap) { to[tap * own] = x[pixel * p.channels]; });
  });
}

template <class T>
__global__ void sum_patches(ConvPatches p, int64_t elements) {
  using A = accumulate_t<T>;
  const int64_t own = p.channels / p.groups, taps = p.grid.taps(), windows = p.grid.windows();
  for_each(elements, [&](int64_t element) {
    const int64_t c = element % p.channels, row = element / p.channels;
    const T* from = static_cast<const T*>(p.patches) +
                    (c / own * p.batch + row / p.grid.pixels()) * windows * taps * own + c % own;
    A sum = 0;
    p.grid.for_holders(row % p.grid.pixels(), [&](int64_t window, int64_t tap) {
      sum += static_cast<A>(from[(window * taps + tap) * own]);
    });
    static_cast<T*>(p.x)[element] = static_cast<T>(sum);
  });
}

template <class T>
__global__ void depthwise(DepthwiseConv d, int64_t elements) {
  using A = accumulate_t<T>;
  const int64_t windows = d.grid.windows();
  for_each(elements, [&](int64_t element) {
    const int64_t c = element % d.channels, row = element / d.channels;
    const T* x = static_cast<const T*>(d.x) + row / windows * d.grid.pixels() * d.channels + c;
    const T* weight = static_cast<const T*>(d.weight) + c * d.grid.taps();
    A sum = d.bias == nullptr ? A(0) : static_cast<const A*>(d.bias)[c];
    d.grid.for_pixels(row % windows, [&](int64_t pixel, int64_t tap) {
      sum += static_cast<A>(weight[tap]) * static_cast<A>(x[pixel * d.channels]);
    });
    static_cast<T*>(d.y)[element] = static_cast<T>(sum);
  });
}

template <class T>
__global__ void depthwise_input_gradient(DepthwiseConv d, int64_t elements) {
  using A = accumulate_t<T>;
  for_each(elements, [&](int64_t element) {
    const int64_t c = element % d.channels, row = element / d.channels;
    const T* dy =
        static_cast<const T*>(d.dy) + row / d.grid.pixels() * d.grid.windows() * d.channels + c;
    const T* weight = static_cast<const T*>(d.weight) + c * d.grid.taps();
    A sum = 0;
    d.grid.for_holders(row % d.grid.pixels(), [&](int64_t window, int64_t tap) {
      sum += static_cast<A>(weight[tap]) * static_cast<A>(dy[window * d.channels]);
    });
    static_cast<T*>(d.dx)[element] = static_cast<T>(sum);
  });
}

constexpr int kSlices = 8;  // threads that share a channel's sum

template <class A>
struct SliceSums {
  A of[kSlices][kWarp];
};

// A block 32 channels of one tap: a warp takes every eighth window, its lanes a channel each.
template <class T>
__global__ void depthwise_weight_gradient(DepthwiseConv d) {
  using A = accumulate_t<T>;
  SliceSums<A>& sums = shared<SliceSums<A>>();
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            slice = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t c = int64_t{blockIdx.y} * kWarp + lane, tap = blockIdx.x;
  const WindowAxis &a0 = d.grid.axis[0], &a1 = d.grid.axis[1], &a2 = d.grid.axis[2];
  const int64_t k2 = tap % a2.kernel, k1 = tap / a2.kernel % a1.kernel,
                k0 = tap / a2.kernel / a1.kernel;
  A sum = 0;
  for (int64_t row = slice; c < d.channels && row < d.batch * d.grid.windows(); row += kSlices) {
    const int64_t window = row % d.grid.windows(), image = row / d.grid.windows();
    const int64_t i0 = a0.element(window / a2.out / a1.out, k0),
                  i1 = a1.element(window / a2.out % a1.out, k1),
                  i2 = a2.element(window % a2.out, k2);
    if (!a0.has(i0) || !a1.has(i1) || !a2.has(i2)) continue;
    const int64_t pixel = image * d.grid.pixels() + (i0 * a1.in + i1) * a2.in + i2;
    sum += static_cast<A>(static_cast<const T*>(d.dy)[row * d.channels + c]) *
           static_cast<A>(static_cast<const T*>(d.x)[pixel * d.channels + c]);
  }
  sums.of[slice][lane] = sum;
  __syncthreads();
  if (slice != 0 || c >= d.channels) return;
  for (int other = 1; other < kSlices; ++other) sum += sums.of[other][lane];
  static_cast<A*>(d.dw)[c * d.grid.taps() + tap] = sum;
}

void run_gather(const ConvPatches& p) {
  dispatch_floating(p.dtype, [&](auto type) {
    launch_each(gather_patches<decltype(type)>, p.batch * p.grid.windows() * p.channels, p);
  });
}
void run_sum(const ConvPatches& p) {
  dispatch_floating(p.dtype, [&](auto type) {
    launch_each(sum_patches<decltype(type)>, p.batch * p.grid.pixels() * p.channels, p);
  });
}
void run_depthwise(const DepthwiseConv& d) {
  dispatch_floating(d.dtype, [&](auto type) {
    launch_each(depthwise<decltype(type)>, d.batch * d.grid.windows() * d.channels, d);
  });
}
void run_input_gradient(const DepthwiseConv& d) {
  dispatch_floating(d.dtype, [&](auto type) {
    launch_each(depthwise_input_gradient<decltype(type)>, d.batch * d.grid.pixels() * d.channels,
                d);
  });
}
void run_weight_gradient(const DepthwiseConv& d) {
  const dim3 grid(static_cast<unsigned>(d.grid.taps()),
                  static_cast<unsigned>(ceil_div(d.channels, kWarp)));
  dispatch_floating(d.dtype, [&](auto type) {
    launch(depthwise_weight_gradient<decltype(type)>, grid, kSlices * kWarp, 0, current_stream(),
           d);
  });
}

}  // namespace

void provide_conv() {
  gather_patches_cuda.provide(run_gather);
  sum_patches_cuda.provide(run_sum);
  depthwise_cuda.provide(run_depthwise);
  depthwise_input_gradient_cuda.provide(run_input_gradient);
  depthwise_weight_gradient_cuda.provide(run_weight_gradient);
}

}  // namespace heed::kernels::cuda
