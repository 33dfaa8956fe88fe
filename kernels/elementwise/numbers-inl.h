// Loops over arrays for functions that are written once for double, float (in device code) and
// Pack: a SIMD vector at once for f32 and bf16, one number at once for f64.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ELEMENTWISE_NUMBERS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ELEMENTWISE_NUMBERS_INL_H_
#undef HEED_KERNELS_ELEMENTWISE_NUMBERS_INL_H_
#else
#define HEED_KERNELS_ELEMENTWISE_NUMBERS_INL_H_
#endif

#include <type_traits>

#include "kernels/elementwise/pack-inl.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

/// What is computed with at once, for sums of type A.
template <class A>
using Number = std::conditional_t<std::is_same_v<A, double>, double, Pack>;

namespace detail {
/// fn(at, put) of the number or vector at i.
template <class Count, class Fn>
HWY_INLINE auto numbers_at(size_t i, Count count, Fn& fn) {
  const hn::ScalableTag<float> d;
  return fn([&](const auto* p) HWY_ATTR { return Pack(load_row(d, p + i, count)); },
            [&](Pack y, auto* p) HWY_ATTR { store_row(d, y.v, p + i, count); });
}
template <class Fn>
HWY_INLINE auto numbers_at(size_t i, Fn& fn) {
  return fn([i](const double* p) { return p[i]; }, [i](double y, double* p) { p[i] = y; });
}
}  // namespace detail

/// Calls fn(at, put) for n elements: at(p) is the Number of the array p, put(y, p) stores one
/// there.
template <class A, class Fn>
HWY_INLINE void for_numbers(int64_t n, Fn fn) {
  const auto count = static_cast<size_t>(n);
  if constexpr (std::is_same_v<A, double>) {
    for (size_t i = 0; i < count; ++i) detail::numbers_at(i, fn);
  } else {
    for_vectors<float>(count,
                       [&](size_t i, auto lanes) HWY_ATTR { detail::numbers_at(i, lanes, fn); });
  }
}

/// The sum of what fn(at, put) returns.
template <class A, class Fn>
HWY_INLINE double sum_numbers(int64_t n, Fn fn) {
  const auto count = static_cast<size_t>(n);
  if constexpr (std::is_same_v<A, double>) {
    double sum = 0;
    for (size_t i = 0; i < count; ++i) sum += detail::numbers_at(i, fn);
    return sum;
  } else {
    const hn::ScalableTag<float> d;
    return static_cast<double>(sum_vectors<float>(count, [&](size_t i, auto lanes) HWY_ATTR {
      return keep_row(d, detail::numbers_at(i, lanes, fn).v, lanes);
    }));
  }
}

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
