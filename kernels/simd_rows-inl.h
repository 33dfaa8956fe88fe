// Rows of any floating dtype as vectors of their accumulation type (f64 for f64, else f32), with
// the tail of a row handled by the same code. Included once for each instruction set, after
// kernels/simd.h, within no namespace.
//
//   for_vectors<A>(n, [&](size_t i, auto count) HWY_ATTR {
//     store_row(d, Mul(load_row(d, x + i, count), scale), y + i, count);
//   });

#if defined(HEED_KERNELS_SIMD_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_SIMD_ROWS_INL_H_
#undef HEED_KERNELS_SIMD_ROWS_INL_H_
#else
#define HEED_KERNELS_SIMD_ROWS_INL_H_
#endif

#include <cstring>
#include <limits>

#include "core/dtype.h"
#include "hwy/contrib/math/math-inl.h"
#include "kernels/simd_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// The count of a whole vector; a tail's count is a size_t below Lanes(d).
struct Whole {};

template <class D>
HWY_INLINE hn::Vec<D> load_row(D d, const double* p, Whole) {
  return hn::LoadU(d, p);
}
template <class D, class T>
HWY_INLINE hn::Vec<D> load_row(D d, const T* p, Whole) {
  return simd::HWY_NAMESPACE::load_f32(d, p);
}
/// A tail: lanes from `count` on are zero.
template <class D, class T>
HWY_INLINE hn::Vec<D> load_row(D d, const T* p, size_t count) {
  HWY_ALIGN T padded[hn::MaxLanes(d)] = {};
  std::memcpy(padded, p, count * sizeof(T));
  return load_row(d, padded, Whole{});
}

template <class D>
HWY_INLINE void store_row(D d, hn::Vec<D> v, double* p, Whole) {
  hn::StoreU(v, d, p);
}
template <class D, class T>
HWY_INLINE void store_row(D d, hn::Vec<D> v, T* p, Whole) {
  simd::HWY_NAMESPACE::store_f32(d, v, p);
}
template <class D, class T>
HWY_INLINE void store_row(D d, hn::Vec<D> v, T* p, size_t count) {
  HWY_ALIGN T padded[hn::MaxLanes(d)];
  store_row(d, v, padded, Whole{});
  std::memcpy(p, padded, count * sizeof(T));
}

/// Zero in the lanes that a tail does not have.
template <class D>
HWY_INLINE hn::Vec<D> keep_row(D, hn::Vec<D> v, Whole) {
  return v;
}
template <class D>
HWY_INLINE hn::Vec<D> keep_row(D d, hn::Vec<D> v, size_t count) {
  return hn::IfThenElseZero(hn::FirstN(d, count), v);
}

/// `other` in the lanes that a tail does not have.
template <class D>
HWY_INLINE hn::Vec<D> pad_row(D, hn::Vec<D> v, hn::Vec<D>, Whole) {
  return v;
}
template <class D>
HWY_INLINE hn::Vec<D> pad_row(D d, hn::Vec<D> v, hn::Vec<D> other, size_t count) {
  return hn::IfThenElse(hn::FirstN(d, count), v, other);
}

/// e^x for f32 and f64; NaN stays NaN.
template <class D>
HWY_INLINE hn::Vec<D> row_exp(D d, hn::Vec<D> x) {
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(double)) {
    return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, x));
  } else {
    return simd::HWY_NAMESPACE::exp(d, x);
  }
}

/// body(i, count) for each vector of [0, n) of accumulation type A.
template <class A, class Body>
HWY_INLINE void for_vectors(size_t n, const Body& body) {
  const size_t lanes = hn::Lanes(hn::ScalableTag<A>());
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i, Whole{});
  if (i < n) body(i, n - i);
}

/// The largest of term(i, count), a vector, over [0, n). The term must be -infinity in the lanes
/// that a tail does not have.
template <class A, class Term>
HWY_INLINE A max_vectors(size_t n, const Term& term) {
  const hn::ScalableTag<A> d;
  const size_t lanes = hn::Lanes(d);
  auto m0 = hn::Set(d, -std::numeric_limits<A>::infinity()), m1 = m0;
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    m0 = hn::Max(m0, term(i, Whole{}));
    m1 = hn::Max(m1, term(i + lanes, Whole{}));
  }
  for (; i + lanes <= n; i += lanes) m0 = hn::Max(m0, term(i, Whole{}));
  if (i < n) m1 = hn::Max(m1, term(i, n - i));
  return hn::GetLane(hn::MaxOfLanes(d, hn::Max(m0, m1)));
}

/// The sum of term(i, count), a vector, over [0, n), in an order that depends on n alone. The term
/// must be zero in the lanes that a tail does not have.
template <class A, class Term>
HWY_INLINE A sum_vectors(size_t n, const Term& term) {
  const hn::ScalableTag<A> d;
  const size_t lanes = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    s0 = hn::Add(s0, term(i, Whole{}));
    s1 = hn::Add(s1, term(i + lanes, Whole{}));
    s2 = hn::Add(s2, term(i + 2 * lanes, Whole{}));
    s3 = hn::Add(s3, term(i + 3 * lanes, Whole{}));
  }
  for (; i + lanes <= n; i += lanes) s0 = hn::Add(s0, term(i, Whole{}));
  if (i < n) s1 = hn::Add(s1, term(i, n - i));
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
