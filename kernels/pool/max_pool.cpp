// Forward, each window gathers its pixels; backward, each pixel gathers the windows that hold it
// and takes the gradients of those it won. Vectors run along the channels; rows of results are
// independent. Memory: each input is read kernel / stride times from cache, results are written
// once.
#include "kernels/pool/max_pool.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/pool/device_pool.h"
#include "kernels/pool/max_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool/max_pool.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

// Integers as wide as the vector's elements, to and from i32 in memory.
template <class D>
HWY_INLINE void store_numbers(D d, hn::Vec<D> v, int32_t* to, size_t count) {
  HWY_ALIGN hn::TFromD<D> lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < count; ++i) to[i] = static_cast<int32_t>(lanes[i]);
}
template <class D>
HWY_INLINE hn::Vec<D> load_numbers(D d, const int32_t* from, size_t count) {
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(int32_t)) {
    if (count == hn::Lanes(d)) return hn::LoadU(d, from);
  }
  HWY_ALIGN hn::TFromD<D> lanes[hn::MaxLanes(d)] = {};
  for (size_t i = 0; i < count; ++i) lanes[i] = from[i];
  return hn::Load(d, lanes);
}

template <class D>
size_t count_of(D d, Whole) {
  return hn::Lanes(d);
}
template <class D>
size_t count_of(D, size_t count) {
  return count;
}

template <class T>
void window(const T* image, const PoolTaps& taps, T* y, int32_t* pixel) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t n = static_cast<size_t>(taps.channels);
  for_vectors<A>(n, [&](size_t c, auto width) HWY_ATTR {
    auto best = hn::Set(d, -std::numeric_limits<A>::infinity());
    auto at = hn::Set(di, -1);
    for (size_t k = 0; k < taps.count; ++k) {
      const auto v = load_row(d, image + taps.number[k] * taps.channels + c, width);
      // the first pixel stands even at -infinity; NaN is larger than any number
      const auto nan = hn::AndNot(hn::IsNaN(best), hn::IsNaN(v));
      const auto larger = k == 0 ? hn::Eq(hn::Zero(d), hn::Zero(d)) : hn::Or(hn::Gt(v, best), nan);
      best = hn::IfThenElse(larger, v, best);
      at = hn::IfThenElse(hn::RebindMask(di, larger),
                          hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(taps.number[k])), at);
    }
    store_row(d, best, y + c, width);
    store_numbers(di, at, pixel + c, count_of(d, width));
  });
}

template <class T>
void winner(const T* dy, const int32_t* pixel, const PoolTaps& taps, int64_t own, T* dx) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const hn::RebindToSigned<decltype(d)> di;
  const auto me = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(own));
  for_vectors<A>(static_cast<size_t>(taps.channels), [&](size_t c, auto width) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (size_t k = 0; k < taps.count; ++k) {
      const int64_t at = taps.number[k] * taps.channels + static_cast<int64_t>(c);
      const auto won = hn::Eq(load_numbers(di, pixel + at, count_of(d, width)), me);
      const auto g = load_row(d, dy + at, width);
      sum = hn::Add(sum, hn::IfThenElseZero(hn::RebindMask(d, won), g));
    }
    store_row(d, sum, dx + c, width);
  });
}

void window_f32(const float* x, const PoolTaps& taps, float* y, int32_t* pixel) {
  window(x, taps, y, pixel);
}
void window_bf16(const bfloat16* x, const PoolTaps& taps, bfloat16* y, int32_t* pixel) {
  window(x, taps, y, pixel);
}
void window_f64(const double* x, const PoolTaps& taps, double* y, int32_t* pixel) {
  window(x, taps, y, pixel);
}
void winner_f32(const float* dy, const int32_t* pixel, const PoolTaps& taps, int64_t own,
                float* dx) {
  winner(dy, pixel, taps, own, dx);
}
void winner_bf16(const bfloat16* dy, const int32_t* pixel, const PoolTaps& taps, int64_t own,
                 bfloat16* dx) {
  winner(dy, pixel, taps, own, dx);
}
void winner_f64(const double* dy, const int32_t* pixel, const PoolTaps& taps, int64_t own,
                double* dx) {
  winner(dy, pixel, taps, own, dx);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const DeviceMaxPool&)> max_pool_cuda;

namespace {

HWY_EXPORT(window_f32);
HWY_EXPORT(window_bf16);
HWY_EXPORT(window_f64);
HWY_EXPORT(winner_f32);
HWY_EXPORT(winner_bf16);
HWY_EXPORT(winner_f64);

void window_of(const float* x, const PoolTaps& taps, float* y, int32_t* pixel) {
  HWY_DYNAMIC_DISPATCH(window_f32)(x, taps, y, pixel);
}
void window_of(const bfloat16* x, const PoolTaps& taps, bfloat16* y, int32_t* pixel) {
  HWY_DYNAMIC_DISPATCH(window_bf16)(x, taps, y, pixel);
}
void window_of(const double* x, const PoolTaps& taps, double* y, int32_t* pixel) {
  HWY_DYNAMIC_DISPATCH(window_f64)(x, taps, y, pixel);
}
void gradient_of(const float* dy, const int32_t* pixel, const PoolTaps& taps, int64_t own,
                 float* dx) {
  HWY_DYNAMIC_DISPATCH(winner_f32)(dy, pixel, taps, own, dx);
}
void gradient_of(const bfloat16* dy, const int32_t* pixel, const PoolTaps& taps, int64_t own,
                 bfloat16* dx) {
  HWY_DYNAMIC_DISPATCH(winner_bf16)(dy, pixel, taps, own, dx);
}
void gradient_of(const double* dy, const int32_t* pixel, const PoolTaps& taps, int64_t own,
                 double* dx) {
  HWY_DYNAMIC_DISPATCH(winner_f64)(dy, pixel, taps, own, dx);
}

constexpr int64_t kWork = 16384;  // comparisons of a chunk

using Lists = std::vector<std::vector<int64_t>>;

// For each window of an axis its elements, and the inverse.
struct Axis {
  int64_t in, out;
  Lists elements, windows;

  Axis(int64_t in_extent, int64_t out_extent, const PoolGeometry& g, int d)
      : in(in_extent),
        out(out_extent),
        elements(static_cast<size_t>(out_extent)),
        windows(static_cast<size_t>(in_extent)) {
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t k = 0; k < g.kernel[d]; ++k) {
        const int64_t i = o * g.stride[d] - g.padding[d] + k * g.dilation[d];
        if (i < 0 || i >= in) continue;
        elements[static_cast<size_t>(o)].push_back(i);
        windows[static_cast<size_t>(i)].push_back(o);
      }
    }
  }
};

// The three axes of a pooling from `in` to `out`, both [B, spatial..., C]; axes that are not there
// have one element.
std::array<Axis, 3> axes_of(const Shape& in, const Shape& out, const PoolGeometry& g) {
  const PoolGeometry point{{1}, {1}, {0}, {1}};
  std::array<Axis, 3> axes = {Axis(1, 1, point, 0), Axis(1, 1, point, 0), Axis(1, 1, point, 0)};
  const int rank = in.rank() - 2;
  for (int d = 0; d < rank; ++d) {
    axes[static_cast<size_t>(3 - rank + d)] = Axis(in[d + 1], out[d + 1], g, d);
  }
  return axes;
}

// Row-major numbers of the product of three lists.
void product(const std::vector<int64_t>& a, const std::vector<int64_t>& b,
             const std::vector<int64_t>& c, int64_t rows, int64_t columns,
             std::vector<int64_t>* numbers) {
  numbers->clear();
  for (const int64_t i : a) {
    for (const int64_t j : b) {
      for (const int64_t k : c) numbers->push_back((i * rows + j) * columns + k);
    }
  }
}

size_t at(int64_t i) { return static_cast<size_t>(i); }

// A pooling from `in` to `out`, both [B, spatial..., C], without its operands.
DeviceMaxPool on_device(DType dtype, const Shape& in, const Shape& out, const PoolGeometry& g) {
  DeviceMaxPool p{.dtype = dtype, .batch = in[0], .channels = in[-1], .grid = {}};
  const int rank = in.rank() - 2;
  for (int d = 0; d < rank; ++d) {
    p.grid.axis[3 - rank + d] = {in[d + 1],   out[d + 1],   g.kernel[d],
                                 g.stride[d], g.padding[d], g.dilation[d]};
  }
  return p;
}

}  // namespace

int64_t pooled_extent(int64_t in, const PoolGeometry& g, int d, bool ceil, const char* op) {
  HEED_CHECK(g.kernel[d] > 0 && g.stride[d] > 0 && g.dilation[d] > 0 && g.padding[d] >= 0 &&
                 2 * g.padding[d] <= g.dilation[d] * (g.kernel[d] - 1) + 1,
             "{}: kernel {}, stride {}, padding {} (at most half of the window), dilation {}", op,
             g.kernel, g.stride, g.padding, g.dilation);
  const int64_t room = in + 2 * g.padding[d] - g.dilation[d] * (g.kernel[d] - 1) - 1;
  HEED_CHECK(in > 0 && room >= 0, "{}: a window of {} in an extent of {} with padding {}", op,
             g.dilation[d] * (g.kernel[d] - 1) + 1, in, g.padding[d]);
  int64_t out = room / g.stride[d] + 1;
  if (ceil && room % g.stride[d] != 0 && out * g.stride[d] < in + g.padding[d]) ++out;
  return out;
}

std::pair<Tensor, Tensor> max_pool(const Tensor& x, const PoolGeometry& geometry, bool ceil) {
  Shape shape = x.shape();
  for (int d = 1; d + 1 < x.rank(); ++d) {
    shape[d] = pooled_extent(x.shape()[d], geometry, d - 1, ceil, "max_pool");
  }
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const Tensor pixel = Tensor::empty(shape, DType::i32, x.device());
  if (y.numel() == 0) return {y, pixel};
  const auto axes = axes_of(x.shape(), shape, geometry);
  const auto& [a0, a1, a2] = axes;
  const int64_t channels = x.size(-1), image = a0.in * a1.in * a2.in * channels;
  HEED_CHECK(image / channels <= std::numeric_limits<int32_t>::max(), "max_pool: x {}", x);
  const Tensor dense = contiguous(x);
  if (x.device().is_cuda()) {
    DeviceMaxPool p = on_device(x.dtype(), x.shape(), shape, geometry);
    p.x = dense.raw();
    p.y = y.raw();
    p.pixel = pixel.data<int32_t>();
    max_pool_cuda({"max_pool", dense, y}, p);
    return {y, pixel};
  }
  require_cpu(x.device(), "max_pool");
  const int64_t rows = x.size(0) * a0.out * a1.out;
  const int64_t work = a2.out * channels * geometry.kernel.numel();
  dispatch_floating(x.dtype(), "max_pool", [&](auto type) {
    using T = decltype(type);
    parallel_for(rows, kWork / work, [&](int64_t begin, int64_t end) {
      const auto& [d0, d1, d2] = axes;
      std::vector<int64_t> pixels;
      for (int64_t row = begin; row < end; ++row) {
        const int64_t o1 = row % d1.out, o0 = row / d1.out % d0.out;
        const T* from = dense.data<T>() + row / (d0.out * d1.out) * image;
        for (int64_t o2 = 0; o2 < d2.out; ++o2) {
          product(d0.elements[at(o0)], d1.elements[at(o1)], d2.elements[at(o2)], d1.in, d2.in,
                  &pixels);
          const int64_t to = (row * d2.out + o2) * channels;
          window_of(from, PoolTaps{pixels.data(), pixels.size(), channels}, y.data<T>() + to,
                    pixel.data<int32_t>() + to);
        }
      }
    });
  });
  return {y, pixel};
}

Tensor max_pool_backward(const Tensor& dy, const Tensor& pixel, const Shape& shape,
                         const PoolGeometry& geometry) {
  HEED_CHECK(dy.shape() == pixel.shape(), "max_pool: dy {}, windows {}", dy, pixel);
  const Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
  if (dx.numel() == 0) return dx;
  const auto axes = axes_of(shape, dy.shape(), geometry);
  const auto& [a0, a1, a2] = axes;
  const int64_t channels = shape[-1], windows = a0.out * a1.out * a2.out * channels;
  const Tensor gradient = contiguous(dy), winners = contiguous(pixel);
  if (dy.device().is_cuda()) {
    DeviceMaxPool p = on_device(dy.dtype(), shape, dy.shape(), geometry);
    p.dy = gradient.raw();
    p.dx = dx.raw();
    p.pixel = winners.data<int32_t>();
    max_pool_cuda({"max_pool", gradient, winners, dx}, p);
    return dx;
  }
  require_cpu(dy.device(), "max_pool");
  const int64_t rows = shape[0] * a0.in * a1.in;
  const int64_t work = a2.in * channels * (1 + dy.numel() * geometry.kernel.numel() / dx.numel());
  dispatch_floating(dy.dtype(), "max_pool", [&](auto type) {
    using T = decltype(type);
    parallel_for(rows, kWork / work, [&](int64_t begin, int64_t end) {
      const auto& [d0, d1, d2] = axes;
      std::vector<int64_t> holders;
      for (int64_t row = begin; row < end; ++row) {
        const int64_t i1 = row % d1.in, i0 = row / d1.in % d0.in;
        const int64_t from = row / (d0.in * d1.in) * windows;
        for (int64_t i2 = 0; i2 < d2.in; ++i2) {
          product(d0.windows[at(i0)], d1.windows[at(i1)], d2.windows[at(i2)], d1.out, d2.out,
                  &holders);
          gradient_of(gradient.data<T>() + from, winners.data<int32_t>() + from,
                      PoolTaps{holders.data(), holders.size(), channels},
                      (i0 * d1.in + i1) * d2.in + i2, dx.data<T>() + (row * d2.in + i2) * channels);
        }
      }
    });
  });
  return dx;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
