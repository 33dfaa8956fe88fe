#include "kernels/reduce/logsumexp.h"

#include <algorithm>
#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/reduce/device_reductions.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce/logsumexp.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class T>
accumulate_t<T> forward(const T* x, size_t n) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const auto lowest = hn::Set(d, -std::numeric_limits<A>::infinity());
  const A largest = max_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    return pad_row(d, load_row(d, x + i, count), lowest, count);
  });
  // an infinite largest element would leave NaN in x - largest
  const A shift = std::isfinite(largest) ? largest : A(0);
  const auto m = hn::Set(d, shift);
  const A sum = sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    return keep_row(d, row_exp(d, hn::Sub(load_row(d, x + i, count), m)), count);
  });
  return shift + std::log(sum);
}

template <class T>
void backward(const T* x, accumulate_t<T> dy, accumulate_t<T> lse, T* dx, size_t n) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const bool nothing = lse == -std::numeric_limits<A>::infinity();
  const auto scale = hn::Set(d, nothing ? A(0) : dy), shift = hn::Set(d, nothing ? A(0) : lse);
  for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    const auto p = row_exp(d, hn::Sub(load_row(d, x + i, count), shift));
    store_row(d, hn::Mul(p, scale), dx + i, count);
  });
}

float forward_f32(const float* x, size_t n) { return forward(x, n); }
float forward_bf16(const bfloat16* x, size_t n) { return forward(x, n); }
double forward_f64(const double* x, size_t n) { return forward(x, n); }
void backward_f32(const float* x, float dy, float lse, float* dx, size_t n) {
  backward(x, dy, lse, dx, n);
}
void backward_bf16(const bfloat16* x, float dy, float lse, bfloat16* dx, size_t n) {
  backward(x, dy, lse, dx, n);
}
void backward_f64(const double* x, double dy, double lse, double* dx, size_t n) {
  backward(x, dy, lse, dx, n);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const LogSumExpRows&)> logsumexp_cuda;

namespace {

HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_bf16);
HWY_EXPORT(forward_f64);
HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_bf16);
HWY_EXPORT(backward_f64);

float forward_row(const float* x, size_t n) { return HWY_DYNAMIC_DISPATCH(forward_f32)(x, n); }
float forward_row(const bfloat16* x, size_t n) { return HWY_DYNAMIC_DISPATCH(forward_bf16)(x, n); }
double forward_row(const double* x, size_t n) { return HWY_DYNAMIC_DISPATCH(forward_f64)(x, n); }
void backward_row(const float* x, float dy, float lse, float* dx, size_t n) {
  HWY_DYNAMIC_DISPATCH(backward_f32)(x, dy, lse, dx, n);
}
void backward_row(const bfloat16* x, float dy, float lse, bfloat16* dx, size_t n) {
  HWY_DYNAMIC_DISPATCH(backward_bf16)(x, dy, lse, dx, n);
}
void backward_row(const double* x, double dy, double lse, double* dx, size_t n) {
  HWY_DYNAMIC_DISPATCH(backward_f64)(x, dy, lse, dx, n);
}

int64_t rows_of_a_chunk(int64_t n) { return std::max<int64_t>(1, 8192 / n); }

}  // namespace

Tensor logsumexp_rows(const Tensor& x) {
  HEED_CHECK(x.rank() == 2 && x.size(1) > 0, "logsumexp: rows of {}", x);
  const Tensor dense = contiguous(x);
  const int64_t rows = x.size(0), n = x.size(1);
  return dispatch_floating(x.dtype(), "logsumexp", [&](auto type) {
    using T = decltype(type);
    const Tensor y = Tensor::empty({rows}, dtype_of<accumulate_t<T>>(), x.device());
    if (x.device().is_cuda()) {
      logsumexp_cuda({"logsumexp", x},
                     {x.dtype(), rows, n, dense.raw(), y.raw(), nullptr, nullptr});
      return y;
    }
    const T* in = dense.data<T>();
    accumulate_t<T>* out = y.data<accumulate_t<T>>();
    parallel_for(rows, rows_of_a_chunk(n), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        out[r] = forward_row(in + r * n, static_cast<size_t>(n));
    });
    return y;
  });
}

Tensor logsumexp_rows_backward(const Tensor& dy, const Tensor& x, const Tensor& lse) {
  HEED_CHECK(x.rank() == 2 && dy.shape() == Shape{x.size(0)} && lse.shape() == dy.shape(),
             "logsumexp: dy {}, x {}, lse {}", dy, x, lse);
  const Tensor dense = contiguous(x), dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  const int64_t rows = x.size(0), n = x.size(1);
  dispatch_floating(x.dtype(), "logsumexp", [&](auto type) {
    using T = decltype(type);
    using A = accumulate_t<T>;
    const Tensor gradient = contiguous_as(dy, dtype_of<A>()), sums = contiguous(lse);
    if (x.device().is_cuda()) {
      return logsumexp_cuda(
          {"logsumexp", dense, gradient, sums},
          {x.dtype(), rows, n, dense.raw(), sums.raw(), gradient.raw(), dx.raw()});
    }
    const T* in = dense.data<T>();
    const A *g = gradient.data<A>(), *s = sums.data<A>();
    T* out = dx.data<T>();
    parallel_for(rows, rows_of_a_chunk(n), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        backward_row(in + r * n, g[r], s[r], out + r * n, static_cast<size_t>(n));
      }
    });
  });
  return dx;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
