// The number types that elementwise functors are written for: Pack, a SIMD vector of f32 with
// operators, and double; with the functions that the functors call.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ELEMENTWISE_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ELEMENTWISE_PACK_INL_H_
#undef HEED_KERNELS_ELEMENTWISE_PACK_INL_H_
#else
#define HEED_KERNELS_ELEMENTWISE_PACK_INL_H_
#endif

#include <cmath>
#include <numbers>

#include "hwy/contrib/math/math-inl.h"
#include "kernels/simd_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace sm = heed::simd::HWY_NAMESPACE;

using PackTag = hn::ScalableTag<float>;

struct Pack {
  hn::Vec<PackTag> v;

  HWY_INLINE Pack() = default;
  HWY_INLINE explicit Pack(hn::Vec<PackTag> vector) : v(vector) {}
  HWY_INLINE explicit Pack(double value) : v(hn::Set(PackTag(), static_cast<float>(value))) {}
  static HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(PackTag())); }
};

HWY_INLINE Pack operator+(Pack a, Pack b) { return Pack(hn::Add(a.v, b.v)); }
HWY_INLINE Pack operator-(Pack a, Pack b) { return Pack(hn::Sub(a.v, b.v)); }
HWY_INLINE Pack operator*(Pack a, Pack b) { return Pack(hn::Mul(a.v, b.v)); }
HWY_INLINE Pack operator/(Pack a, Pack b) { return Pack(hn::Div(a.v, b.v)); }
HWY_INLINE Pack operator-(Pack a) { return Pack(hn::Neg(a.v)); }

HWY_INLINE Pack exp(Pack x) { return Pack(sm::exp(PackTag(), x.v)); }
HWY_INLINE Pack log(Pack x) { return Pack(sm::log(PackTag(), x.v)); }
HWY_INLINE Pack sqrt(Pack x) { return Pack(hn::Sqrt(x.v)); }
HWY_INLINE Pack tanh(Pack x) { return Pack(sm::tanh(PackTag(), x.v)); }
HWY_INLINE Pack sigmoid(Pack x) { return Pack(sm::sigmoid(PackTag(), x.v)); }
HWY_INLINE Pack normal_cdf(Pack x) { return Pack(sm::normal(PackTag(), x.v).cdf); }
HWY_INLINE Pack normal_cdf_plus_x_pdf(Pack x) {
  const auto normal = sm::normal(PackTag(), x.v);
  return Pack(hn::MulAdd(x.v, normal.pdf, normal.cdf));
}
/// value where x > 0, else 0.
HWY_INLINE Pack where_positive(Pack x, Pack value) {
  return Pack(hn::IfThenElseZero(hn::Gt(x.v, hn::Zero(PackTag())), value.v));
}
/// 0 where x < 0, else value (also where x is NaN).
HWY_INLINE Pack unless_negative(Pack x, Pack value) {
  return Pack(hn::IfThenZeroElse(hn::Lt(x.v, hn::Zero(PackTag())), value.v));
}
/// `yes` where a > b, else `no` (also where either is NaN).
HWY_INLINE Pack if_greater(Pack a, Pack b, Pack yes, Pack no) {
  return Pack(hn::IfThenElse(hn::Gt(a.v, b.v), yes.v, no.v));
}
/// `yes` where a equals b, else `no` (also where either is NaN).
HWY_INLINE Pack if_equal(Pack a, Pack b, Pack yes, Pack no) {
  return Pack(hn::IfThenElse(hn::Eq(a.v, b.v), yes.v, no.v));
}
HWY_INLINE Pack if_nan(Pack a, Pack yes, Pack no) {
  return Pack(hn::IfThenElse(hn::IsNaN(a.v), yes.v, no.v));
}
HWY_INLINE Pack abs(Pack x) { return Pack(hn::Abs(x.v)); }
HWY_INLINE Pack expm1(Pack x) { return Pack(sm::expm1(PackTag(), x.v)); }
HWY_INLINE Pack log1p(Pack x) { return Pack(sm::log1p(PackTag(), x.v)); }
HWY_INLINE Pack erf(Pack x) { return Pack(sm::erf(PackTag(), x.v)); }
/// Lane by lane.
template <class Fn>
HWY_INLINE Pack each_lane(Pack x, Pack y, Fn fn) {
  const PackTag d;
  HWY_ALIGN float a[hn::MaxLanes(PackTag())], b[hn::MaxLanes(PackTag())];
  hn::Store(x.v, d, a);
  hn::Store(y.v, d, b);
  for (size_t i = 0; i < hn::Lanes(d); ++i) a[i] = fn(a[i], b[i]);
  return Pack(hn::Load(d, a));
}
// Highway's reduction of the argument holds below 39000; beyond it are <cmath>'s.
HWY_INLINE bool has_large_angle(Pack x) {
  const PackTag d;
  return !hn::AllTrue(d, hn::Lt(hn::Abs(x.v), hn::Set(d, 39000.0f)));
}
HWY_INLINE Pack sin(Pack x) {
  if (has_large_angle(x)) {
    return each_lane(x, x, [](float a, float) { return std::sin(a); });
  }
  return Pack(hn::Sin(PackTag(), x.v));
}
HWY_INLINE Pack cos(Pack x) {
  if (has_large_angle(x)) {
    return each_lane(x, x, [](float a, float) { return std::cos(a); });
  }
  return Pack(hn::Cos(PackTag(), x.v));
}
HWY_INLINE Pack pow(Pack x, Pack p) {
  return each_lane(x, p, [](float a, float b) { return std::pow(a, b); });
}

HWY_INLINE double if_greater(double a, double b, double yes, double no) { return a > b ? yes : no; }
HWY_INLINE double if_equal(double a, double b, double yes, double no) { return a == b ? yes : no; }
HWY_INLINE double if_nan(double a, double yes, double no) { return std::isnan(a) ? yes : no; }
HWY_INLINE double abs(double x) { return std::abs(x); }
HWY_INLINE double expm1(double x) { return std::expm1(x); }
HWY_INLINE double log1p(double x) { return std::log1p(x); }
HWY_INLINE double erf(double x) { return std::erf(x); }
HWY_INLINE double sin(double x) { return std::sin(x); }
HWY_INLINE double cos(double x) { return std::cos(x); }
HWY_INLINE double pow(double x, double p) { return std::pow(x, p); }
HWY_INLINE double exp(double x) { return std::exp(x); }
HWY_INLINE double log(double x) { return std::log(x); }
HWY_INLINE double sqrt(double x) { return std::sqrt(x); }
HWY_INLINE double tanh(double x) { return std::tanh(x); }
HWY_INLINE double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
HWY_INLINE double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
HWY_INLINE double normal_cdf_plus_x_pdf(double x) {
  const double pdf = std::exp(-0.5 * x * x) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
  return normal_cdf(x) + x * pdf;
}
HWY_INLINE double where_positive(double x, double value) { return x > 0 ? value : 0; }
HWY_INLINE double unless_negative(double x, double value) { return x < 0 ? 0 : value; }

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
