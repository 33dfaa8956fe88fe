// Two layouts: along the last dimension a slice is a row, and lanes run along it; along another
// dimension the slices are columns of an [n, inner] block, and lanes run across them. Each slice is
// read three times, the second and third time from cache; memory moves 2 elements an element
// forward, 3 backward.
#include "kernels/softmax/softmax.h"

#include <algorithm>
#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax/softmax.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"
#include "kernels/softmax/slices.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class T>
void forward_row(const T* x, T* y, size_t n, bool log) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const auto lowest = hn::Set(d, -std::numeric_limits<A>::infinity());
  const A largest = max_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    return pad_row(d, load_row(d, x + i, count), lowest, count);
  });
  const auto m = hn::Set(d, largest);
  // The exponentials are kept where the result has their precision, else formed twice.
  constexpr bool kept = std::is_same_v<T, A>;
  const A sum = sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    const auto e = keep_row(d, row_exp(d, hn::Sub(load_row(d, x + i, count), m)), count);
    if constexpr (kept) {
      if (!log) store_row(d, e, y + i, count);
    }
    return e;
  });
  if (log) {
    const auto lse = hn::Set(d, largest + std::log(sum));
    for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      store_row(d, hn::Sub(load_row(d, x + i, count), lse), y + i, count);
    });
  } else {
    const auto scale = hn::Set(d, A(1) / sum);
    for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
      const auto e =
          kept ? load_row(d, y + i, count) : row_exp(d, hn::Sub(load_row(d, x + i, count), m));
      store_row(d, hn::Mul(e, scale), y + i, count);
    });
  }
}

template <class T>
void backward_row(const T* dy, const T* y, T* dx, size_t n, bool log) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const auto sum = hn::Set(d, sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
                             const auto g = load_row(d, dy + i, count);
                             return log ? g : hn::Mul(g, load_row(d, y + i, count));
                           }));
  for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    const auto g = load_row(d, dy + i, count), out = load_row(d, y + i, count);
    const auto result =
        log ? hn::NegMulAdd(row_exp(d, out), sum, g) : hn::Mul(out, hn::Sub(g, sum));
    store_row(d, result, dx + i, count);
  });
}

// Columns i .. i + count of an [n, inner] block.
template <class T, class Count>
void forward_columns(const T* x, T* y, size_t n, size_t inner, bool log, Count count) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  auto m = load_row(d, x, count);
  for (size_t k = 1; k < n; ++k) m = hn::Max(m, load_row(d, x + k * inner, count));
  auto sum = hn::Zero(d);
  for (size_t k = 0; k < n; ++k) {
    sum = hn::Add(sum, row_exp(d, hn::Sub(load_row(d, x + k * inner, count), m)));
  }
  if (log) {
    HWY_ALIGN A sums[hn::MaxLanes(d)];
    hn::Store(sum, d, sums);
    for (size_t lane = 0; lane < hn::Lanes(d); ++lane) sums[lane] = std::log(sums[lane]);
    const auto lse = hn::Add(m, hn::Load(d, sums));
    for (size_t k = 0; k < n; ++k) {
      store_row(d, hn::Sub(load_row(d, x + k * inner, count), lse), y + k * inner, count);
    }
  } else {
    const auto scale = hn::Div(hn::Set(d, A(1)), sum);
    for (size_t k = 0; k < n; ++k) {
      const auto e = row_exp(d, hn::Sub(load_row(d, x + k * inner, count), m));
      store_row(d, hn::Mul(e, scale), y + k * inner, count);
    }
  }
}

template <class T, class Count>
void backward_columns(const T* dy, const T* y, T* dx, size_t n, size_t inner, bool log,
                      Count count) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  auto sum = hn::Zero(d);
  for (size_t k = 0; k < n; ++k) {
    const auto g = load_row(d, dy + k * inner, count);
    sum = hn::Add(sum, log ? g : hn::Mul(g, load_row(d, y + k * inner, count)));
  }
  for (size_t k = 0; k < n; ++k) {
    const auto g = load_row(d, dy + k * inner, count), out = load_row(d, y + k * inner, count);
    const auto result =
        log ? hn::NegMulAdd(row_exp(d, out), sum, g) : hn::Mul(out, hn::Sub(g, sum));
    store_row(d, result, dx + k * inner, count);
  }
}

template <class T>
void all_slices(const SoftmaxSlices& s, int64_t begin, int64_t end) {
  const size_t n = static_cast<size_t>(s.n), inner = static_cast<size_t>(s.inner);
  const T* in = static_cast<const T*>(s.in);
  const T* y = static_cast<const T*>(s.y);
  T* out = static_cast<T*>(s.out);
  for (int64_t block = begin; block < end; ++block) {
    const size_t at = static_cast<size_t>(block) * n * inner;
    if (inner == 1) {
      if (y == nullptr) {
        forward_row(in + at, out + at, n, s.log);
      } else {
        backward_row(in + at, y + at, out + at, n, s.log);
      }
      continue;
    }
    for_vectors<accumulate_t<T>>(inner, [&](size_t i, auto count) HWY_ATTR {
      if (y == nullptr) {
        forward_columns(in + at + i, out + at + i, n, inner, s.log, count);
      } else {
        backward_columns(in + at + i, y + at + i, out + at + i, n, inner, s.log, count);
      }
    });
  }
}

void softmax_slices(const SoftmaxSlices& s, int64_t begin, int64_t end) {
  if (s.dtype == DType::f32) return all_slices<float>(s, begin, end);
  if (s.dtype == DType::bf16) return all_slices<bfloat16>(s, begin, end);
  return all_slices<double>(s, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const SoftmaxSlices&, int64_t)> softmax_cuda;

namespace {

HWY_EXPORT(softmax_slices);

// y is undefined for the forward pass.
Tensor run(const char* op, const Tensor& in, const Tensor& y, int dim, bool log) {
  dim = in.shape().dim_index(dim, op);
  const DType dtype = y.defined() ? y.dtype() : in.dtype();
  HEED_CHECK(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f64,
             "{}: x is {}, needs f32, bf16 or f64", op, in);
  HEED_CHECK(!y.defined() || y.shape() == in.shape(), "{}: dy is {}, y is {}", op, in, y);
  const Tensor out = Tensor::empty(in.shape(), dtype, in.device());
  if (out.numel() == 0) return out;
  const Tensor dense = contiguous_as(in, dtype);
  const Tensor dense_y = y.defined() ? contiguous_as(y, dtype) : y;
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < dim; ++i) outer *= in.shape()[i];
  for (int i = dim + 1; i < in.rank(); ++i) inner *= in.shape()[i];
  const int64_t n = in.shape()[dim];
  const SoftmaxSlices slices{
      dtype, log, n, inner, dense.raw(), y.defined() ? dense_y.raw() : nullptr, out.raw()};
  if (out.device().is_cuda()) {
    softmax_cuda({op, in, y, out}, slices, outer);
    return out;
  }
  require_cpu(in.device(), op);
  parallel_for(outer, std::max<int64_t>(1, 8192 / (n * inner)), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(softmax_slices)(slices, begin, end);
  });
  return out;
}

}  // namespace

Tensor softmax(const Tensor& x, int dim) { return run("softmax", x, {}, dim, false); }
Tensor log_softmax(const Tensor& x, int dim) { return run("log_softmax", x, {}, dim, true); }
Tensor softmax_backward(const Tensor& dy, const Tensor& y, int dim) {
  return run("softmax_backward", dy, y, dim, false);
}
Tensor log_softmax_backward(const Tensor& dy, const Tensor& y, int dim) {
  return run("log_softmax_backward", dy, y, dim, true);
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
