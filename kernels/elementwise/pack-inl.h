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
