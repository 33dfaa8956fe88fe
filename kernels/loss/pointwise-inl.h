// The losses of pointwise.h with their slopes, in the form of elementwise/functors-inl.h: written
// once for double, float (also in device code) and Pack.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_LOSS_POINTWISE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_LOSS_POINTWISE_INL_H_
#undef HEED_KERNELS_LOSS_POINTWISE_INL_H_
#else
#define HEED_KERNELS_LOSS_POINTWISE_INL_H_
#endif

#include <limits>
#include <type_traits>

#include "kernels/loss/kinds.h"
#if !defined(HEED_DEVICE_FUNCTORS)  // kernels/cuda/functors.h brings the functions for a device
#include "kernels/elementwise/pack-inl.h"
#endif

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

template <class T>
struct PointwiseElement {
  T x, t, q;  // prediction, target, weight of positives
};

template <class T>
struct PointwiseSlopes {
  T dx, dt;
};

template <class T>
HEED_HOST_DEVICE T smallest_normal() {
  return T(std::is_same_v<T, double> ? std::numeric_limits<double>::min()
                                     : double{std::numeric_limits<float>::min()});
}

/// log x, not below -100; of 0 and less -100.
template <class T>
HEED_HOST_DEVICE T bounded_log(T x) {
  const T least = smallest_normal<T>();
  const T of_least = log(if_greater(x, least, x, least));
  return if_greater(least, x, T(-100), if_greater(T(-100), of_least, T(-100), of_least));
}

/// log(1 + exp(-x)).
template <class T>
HEED_HOST_DEVICE T softplus_of_negative(T x) {
  return if_greater(T(0), x, -x, T(0)) + log1p(exp(-abs(x)));
}

struct Squared {
  template <class T>
  HEED_HOST_DEVICE static T loss(const PointwiseElement<T>& a, T) {
    const T e = a.x - a.t;
    return e * e;
  }
  template <class T>
  HEED_HOST_DEVICE static PointwiseSlopes<T> slopes(const PointwiseElement<T>& a, T) {
    const T e = a.x - a.t, dx = e + e;
    return {dx, -dx};
  }
};

struct Absolute {
  template <class T>
  HEED_HOST_DEVICE static T loss(const PointwiseElement<T>& a, T) {
    return abs(a.x - a.t);
  }
  template <class T>
  HEED_HOST_DEVICE static PointwiseSlopes<T> slopes(const PointwiseElement<T>& a, T) {
    const T dx = if_greater(a.x, a.t, T(1), if_greater(a.t, a.x, T(-1), T(0)));
    return {dx, -dx};
  }
};

struct Huber {
  template <class T>
  HEED_HOST_DEVICE static T loss(const PointwiseElement<T>& a, T c) {
    const T e = abs(a.x - a.t);
    return if_greater(e, c, c * (e - T(0.5) * c), T(0.5) * e * e);
  }
  template <class T>
  HEED_HOST_DEVICE static PointwiseSlopes<T> slopes(const PointwiseElement<T>& a, T c) {
    const T e = a.x - a.t;
    const T dx = if_greater(e, c, c, if_greater(-c, e, -c, e));
    return {dx, -dx};
  }
};

struct BceWithLogits {
  template <class T>
  HEED_HOST_DEVICE static T loss(const PointwiseElement<T>& a, T) {
    const T positives = (a.q - T(1)) * a.t + T(1);
    return (T(1) - a.t) * a.x + positives * softplus_of_negative(a.x);
  }
  template <class T>
  HEED_HOST_DEVICE static PointwiseSlopes<T> slopes(const PointwiseElement<T>& a, T) {
    const T extra = a.q - T(1), positives = extra * a.t + T(1);
    // 1 - sigmoid(x), from an exponential that cannot overflow
    const T e = exp(-abs(a.x)), rest = if_greater(a.x, T(0), e, T(1)) / (T(1) + e);
    return {T(1) - a.t - positives * rest, extra * softplus_of_negative(a.x) - a.x};
  }
};

struct Bce {
  template <class T>
  HEED_HOST_DEVICE static T loss(const PointwiseElement<T>& a, T) {
    const T other = bounded_log(T(1) - a.x);
    return -(a.t * (bounded_log(a.x) - other) + other);
  }
  template <class T>
  HEED_HOST_DEVICE static PointwiseSlopes<T> slopes(const PointwiseElement<T>& a, T) {
    const T rest = T(1) - a.x, spread = rest * a.x, least = T(1e-12);
    return {(a.x - a.t) / if_greater(spread, least, spread, least),
            bounded_log(rest) - bounded_log(a.x)};
  }
};

struct KlDiv {
  template <class T>
  HEED_HOST_DEVICE static T log_ratio(const PointwiseElement<T>& a) {
    const T least = smallest_normal<T>();
    return log(if_greater(a.t, least, a.t, least)) - a.x;
  }
  template <class T>
  HEED_HOST_DEVICE static T loss(const PointwiseElement<T>& a, T) {
    return where_positive(a.t, a.t * log_ratio(a));
  }
  template <class T>
  HEED_HOST_DEVICE static PointwiseSlopes<T> slopes(const PointwiseElement<T>& a, T) {
    return {where_positive(a.t, -a.t), where_positive(a.t, log_ratio(a) + T(1))};
  }
};

struct KlDivLog {
  template <class T>
  HEED_HOST_DEVICE static T loss(const PointwiseElement<T>& a, T) {
    return exp(a.t) * (a.t - a.x);
  }
  template <class T>
  HEED_HOST_DEVICE static PointwiseSlopes<T> slopes(const PointwiseElement<T>& a, T) {
    const T p = exp(a.t);
    return {-p, p * (a.t - a.x) + p};
  }
};

/// Calls fn with the functor of that kind.
template <class Fn>
void with_pointwise(Pointwise kind, Fn fn) {
  switch (kind) {
    case Pointwise::squared:
      return fn(Squared());
    case Pointwise::absolute:
      return fn(Absolute());
    case Pointwise::huber:
      return fn(Huber());
    case Pointwise::bce_with_logits:
      return fn(BceWithLogits());
    case Pointwise::bce:
      return fn(Bce());
    case Pointwise::kl_div:
      return fn(KlDiv());
    case Pointwise::kl_div_log:
      return fn(KlDivLog());
  }
}

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
