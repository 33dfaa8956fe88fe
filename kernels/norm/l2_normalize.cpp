// As in softmax: along the last dimension lanes run along the vector, along another one they run
// across the vectors of an [n, inner] block. The second reading comes from cache.
#include "kernels/norm/l2_normalize.h"

#include <algorithm>
#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/norm/unit_slices.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/l2_normalize.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

// r with the factor of x in dx: 0 where the length was below eps, else -r^3 sum(dy x).
template <class A>
A slope(A r, A product, A eps) {
  return r * eps < A(1) ? -r * r * r * product : A(0);
}

template <class T, class A = accumulate_t<T>>
void row(const UnitSlices& s, const T* x, const T* dy, A& inverse, T* out) {
  const hn::ScalableTag<A> d;
  const size_t n = static_cast<size_t>(s.n);
  const T* other = dy == nullptr ? x : dy;
  const A product = sum_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    return hn::Mul(load_row(d, other + i, count), load_row(d, x + i, count));
  });
  if (dy == nullptr) inverse = A(1) / std::max(std::sqrt(product), static_cast<A>(s.eps));
  const auto r = hn::Set(d, inverse);
  const auto k = hn::Set(d, dy == nullptr ? A(0) : slope(inverse, product, static_cast<A>(s.eps)));
  for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
    auto y = hn::Mul(load_row(d, other + i, count), r);
    if (dy != nullptr) y = hn::MulAdd(load_row(d, x + i, count), k, y);
    store_row(d, y, out + i, count);
  });
}

template <class T, class A, class Count>
void columns(const UnitSlices& s, const T* x, const T* dy, A* inverse, T* out, Count count) {
  const hn::ScalableTag<A> d;
  const size_t n = static_cast<size_t>(s.n), inner = static_cast<size_t>(s.inner);
  const T* other = dy == nullptr ? x : dy;
  auto product = hn::Zero(d);
  for (size_t k = 0; k < n; ++k) {
    product = hn::MulAdd(load_row(d, other + k * inner, count), load_row(d, x + k * inner, count),
                         product);
  }
  const auto eps = hn::Set(d, static_cast<A>(s.eps)), one = hn::Set(d, A(1));
  if (dy == nullptr) {
    store_row(d, hn::Div(one, hn::Max(hn::Sqrt(product), eps)), inverse, count);
  }
  const auto r = load_row(d, inverse, count);
  const auto cube = hn::Mul(hn::Mul(r, r), hn::Mul(r, product));
  const auto slopes = hn::IfThenElseZero(hn::Lt(hn::Mul(r, eps), one), hn::Neg(cube));
  for (size_t k = 0; k < n; ++k) {
    auto y = hn::Mul(load_row(d, other + k * inner, count), r);
    if (dy != nullptr) y = hn::MulAdd(load_row(d, x + k * inner, count), slopes, y);
    store_row(d, y, out + k * inner, count);
  }
}

template <class T>
void blocks(const UnitSlices& s, int64_t begin, int64_t end) {
  using A = accumulate_t<T>;
  for (int64_t block = begin; block < end; ++block) {
    const int64_t at = block * s.n * s.inner;
    const T* x = static_cast<const T*>(s.x) + at;
    const T* dy = s.dy == nullptr ? nullptr : static_cast<const T*>(s.dy) + at;
    A* inverse = static_cast<A*>(s.inverse) + block * s.inner;
    T* out = static_cast<T*>(s.out) + at;
    if (s.inner == 1) {
      row<T>(s, x, dy, *inverse, out);
      continue;
    }
    for_vectors<A>(static_cast<size_t>(s.inner), [&](size_t i, auto count) HWY_ATTR {
      columns<T, A>(s, x + i, dy == nullptr ? dy : dy + i, inverse + i, out + i, count);
    });
  }
}

void unit_slices(const UnitSlices& s, int64_t begin, int64_t end) {
  if (s.dtype == DType::f32) return blocks<float>(s, begin, end);
  if (s.dtype == DType::bf16) return blocks<bfloat16>(s, begin, end);
  return blocks<double>(s, begin, end);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const UnitSlices&, int64_t)> l2_normalize_cuda;

namespace {

HWY_EXPORT(unit_slices);

Tensor run(const Tensor& x, const Tensor& dy, const Tensor& inverse, int dim, double eps) {
  const Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (x.numel() == 0) return out;
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < dim; ++i) outer *= x.shape()[i];
  for (int i = dim + 1; i < x.rank(); ++i) inner *= x.shape()[i];
  const int64_t n = x.shape()[dim];
  const Tensor dense = contiguous_as(x, x.dtype());
  const Tensor dense_dy = dy.defined() ? contiguous_as(dy, x.dtype()) : dy;
  const UnitSlices slices{x.dtype(),     n,           inner,
                          eps,           dense.raw(), dy.defined() ? dense_dy.raw() : nullptr,
                          inverse.raw(), out.raw()};
  if (x.device().is_cuda()) {
    l2_normalize_cuda({"l2_normalize", x, dy, inverse}, slices, outer);
    return out;
  }
  require_cpu(x.device(), "l2_normalize");
  parallel_for(outer, std::max<int64_t>(1, 16384 / (n * inner)), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(unit_slices)(slices, begin, end);
  });
  return out;
}

}  // namespace

L2Normalized l2_normalize(const Tensor& x, int dim, double eps) {
  const char* op = "l2_normalize";
  dim = x.shape().dim_index(dim, op);
  HEED_CHECK(x.dtype() == DType::f32 || x.dtype() == DType::bf16 || x.dtype() == DType::f64,
             "{}: x is {}, needs f32, bf16 or f64", op, x);
  HEED_CHECK(eps > 0, "{}: eps {} is not positive", op, eps);
  Shape shape = x.shape();
  shape[dim] = 1;
  const Tensor inverse =
      Tensor::empty(shape, x.dtype() == DType::f64 ? DType::f64 : DType::f32, x.device());
  return {run(x, {}, inverse, dim, eps), inverse};
}

Tensor l2_normalize_backward(const Tensor& dy, const Tensor& x, const Tensor& inverse, int dim,
                             double eps) {
  HEED_CHECK(dy.shape() == x.shape(), "l2_normalize: dy is {}, x is {}", dy, x);
  return run(x, dy, inverse, x.shape().dim_index(dim, "l2_normalize"), eps);
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
