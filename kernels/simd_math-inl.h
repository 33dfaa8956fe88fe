// Elementary functions on Highway vectors of f32, and bf16 loads and stores.
//
// Largest errors against exact results, over all f32 (tests/kernels/simd_math_test.cpp):
//   exp 1.5 ulp, log 1.5 ulp, tanh 3 ulp, erf 3 ulp, sigmoid 3 ulp, normal_cdf 6 ulp, expm1 3 ulp,
//   log1p 4 ulp;
// infinities and NaN as in <cmath>, subnormal results included. Coefficients: weighted
// least squares on Chebyshev nodes, iterated towards equal relative errors.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_SIMD_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_SIMD_MATH_INL_H_
#undef HEED_KERNELS_SIMD_MATH_INL_H_
#else
#define HEED_KERNELS_SIMD_MATH_INL_H_
#endif

#include <cstdint>

#include "core/dtype.h"
#include "kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace heed::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// c0 + c1 x + c2 x^2 + ..., by Horner's rule.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V polynomial(D d, V x, float c0, float c1) {
  return hn::MulAdd(hn::Set(d, c1), x, hn::Set(d, c0));
}
template <class D, class V = hn::Vec<D>, class... Rest>
HWY_INLINE V polynomial(D d, V x, float c0, float c1, float c2, Rest... rest) {
  return hn::MulAdd(polynomial(d, x, c1, c2, rest...), x, hn::Set(d, c0));
}

#undef HEED_HAS_SCALEF
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
#define HEED_HAS_SCALEF 1
/// x 2^n for integers n in f32, rounded once; as large as n may be.
HWY_INLINE hn::Vec512<float> scale_by_power(hn::Vec512<float> x, hn::Vec512<float> n) {
  return hn::Vec512<float>{_mm512_maskz_scalef_ps(__mmask16(-1), x.raw, n.raw)};
}
HWY_INLINE hn::Vec256<float> scale_by_power(hn::Vec256<float> x, hn::Vec256<float> n) {
  return hn::Vec256<float>{_mm256_scalef_ps(x.raw, n.raw)};
}
template <size_t kLanes>
HWY_INLINE hn::Vec128<float, kLanes> scale_by_power(hn::Vec128<float, kLanes> x,
                                                    hn::Vec128<float, kLanes> n) {
  return hn::Vec128<float, kLanes>{_mm_scalef_ps(x.raw, n.raw)};
}
#else
#define HEED_HAS_SCALEF 0
#endif

/// 1 / x within 1.5 ulp, for x in [2^-60, 2^60].
template <class D, class V = hn::Vec<D>>
HWY_INLINE V reciprocal(D d, V x) {
#if HEED_HAS_SCALEF  // there an approximation has 14 bits, and one step of Newton's makes them 28
  const V y = hn::ApproximateReciprocal(x);
  return hn::MulAdd(y, hn::NegMulAdd(x, y, hn::Set(d, 1.0f)), y);
#else
  return hn::Div(hn::Set(d, 1.0f), x);
#endif
}

/// e^r for |r| <= ln(2) / 2.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_of_rest(D d, V r) {
  const V p = polynomial(d, r, 4.999999344e-01f, 1.666652057e-01f, 4.166838873e-02f,
                         8.368724076e-03f, 1.381458407e-03f);
  return hn::Add(hn::MulAdd(hn::Mul(r, r), p, r), hn::Set(d, 1.0f));
}

/// e^x.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp(D d, V x) {
  const V log2_e = hn::Set(d, 1.44269504f);
  const V ln2_high = hn::Set(d, 0.693145752f), ln2_low = hn::Set(d, 1.42860677e-6f);
#if HEED_HAS_SCALEF
  // x = n ln 2 + r. Bounds come first, so that the second operand, a NaN, passes.
  const V bounded = hn::Min(hn::Set(d, 130.0f), hn::Max(hn::Set(d, -110.0f), x));
  const V n = hn::Round(hn::Mul(bounded, log2_e));
  const V r = hn::NegMulAdd(n, ln2_low, hn::NegMulAdd(n, ln2_high, bounded));
  return scale_by_power(exp_of_rest(d, r), n);
#else
  const hn::RebindToSigned<D> di;
  // x = n ln 2 + r; n is clamped as an integer, so that NaN and infinities pass through r.
  const auto n =
      hn::Min(hn::Max(hn::NearestInt(hn::Mul(x, log2_e)), hn::Set(di, -152)), hn::Set(di, 129));
  const V nf = hn::ConvertTo(d, n);
  const V r = hn::NegMulAdd(nf, ln2_low, hn::NegMulAdd(nf, ln2_high, x));
  // 2^n in two factors, so that subnormal results round once and 2^128 is reached
  const auto half = hn::ShiftRight<1>(n);
  const auto bias = hn::Set(di, 127);
  const V a = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const V b = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(n, half), bias)));
  const V e = hn::Mul(hn::Mul(exp_of_rest(d, r), a), b);
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -105.0f)), e);
#endif
}

/// Natural logarithm.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V one = hn::Set(d, 1.0f), zero = hn::Zero(d);
  // x = 2^n m with m in [sqrt(1/2), sqrt(2)); subnormals are scaled up first
  const auto tiny = hn::Lt(x, hn::Set(d, 1.17549435e-38f));
  const auto bits = hn::BitCast(di, hn::IfThenElse(tiny, hn::Mul(x, hn::Set(d, 0x1p25f)), x));
  const auto root = hn::Set(di, 0x3f3504f3);
  const auto n = hn::ShiftRight<23>(hn::Sub(bits, root));
  const V m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(n)));
  const V nf = hn::Sub(hn::ConvertTo(d, n), hn::IfThenElseZero(tiny, hn::Set(d, 25.0f)));
  const V f = hn::Sub(m, one), f2 = hn::Mul(f, f);
  const V p =
      polynomial(d, f, 3.333333171e-01f, -2.500082106e-01f, 2.000122667e-01f, -1.662335648e-01f,
                 1.420176247e-01f, -1.316019507e-01f, 1.276155034e-01f, -7.634429837e-02f);
  V low = hn::Mul(hn::Mul(f2, f), p);
  low = hn::MulAdd(nf, hn::Set(d, 1.42860677e-6f), low);
  low = hn::NegMulAdd(f2, hn::Set(d, 0.5f), low);
  V y = hn::MulAdd(nf, hn::Set(d, 0.693145752f), hn::Add(f, low));
  const V inf = hn::Inf(d);
  y = hn::IfThenElse(hn::Eq(x, inf), inf, y);
  y = hn::IfThenElse(hn::Eq(x, zero), hn::Neg(inf), y);
  return hn::IfThenElse(hn::Or(hn::Lt(x, zero), hn::IsNaN(x)), hn::NaN(d), y);
}

/// e^x - 1, without the cancellation near 0: 2^n (e^r - 1) + (2^n - 1) with x = n ln 2 + r.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V expm1(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V one = hn::Set(d, 1.0f);
  const auto n =
      hn::Min(hn::Max(hn::NearestInt(hn::Mul(x, hn::Set(d, 1.44269504f))), hn::Set(di, -30)),
              hn::Set(di, 126));
  const V nf = hn::ConvertTo(d, n);
  V r = hn::NegMulAdd(nf, hn::Set(d, 0.693145752f), x);
  r = hn::NegMulAdd(nf, hn::Set(d, 1.42860677e-6f), r);
  const V p = polynomial(d, r, 4.999999344e-01f, 1.666652057e-01f, 4.166838873e-02f,
                         8.368724076e-03f, 1.381458407e-03f);
  const V small = hn::MulAdd(hn::Mul(r, r), p, r);
  const V scale = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(n, hn::Set(di, 127))));
  V y = hn::MulAdd(scale, small, hn::Sub(scale, one));
  y = hn::IfThenElse(hn::Lt(x, hn::Set(d, -20.0f)), hn::Neg(one), y);
  y = hn::IfThenElse(hn::Gt(x, hn::Set(d, 87.0f)), exp(d, x), y);
  return hn::IfThenElse(hn::Eq(x, hn::Zero(d)), x, y);  // the sign of zero
}

/// log(1 + x), without the cancellation near 0 (Kahan): log(u) x / (u - 1) for u = 1 + x as
/// rounded.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log1p(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V u = hn::Add(one, x);
  const V y = hn::Mul(log(d, u), hn::Div(x, hn::Sub(u, one)));
  const V kept = hn::IfThenElse(hn::Eq(u, one), x, y);
  return hn::IfThenElse(hn::Eq(u, hn::Inf(d)), u, kept);
}

/// 1 / (1 + e^-x).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V e = exp(d, hn::Neg(hn::Abs(x)));  // never overflows
  return hn::Mul(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one), reciprocal(d, hn::Add(one, e)));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh(D d, V x) {
  const V a = hn::Abs(x), z = hn::Mul(x, x);
  const V p = polynomial(d, z, -3.333328392e-01f, 1.333149125e-01f, -5.374349526e-02f,
                         2.065057899e-02f, -5.717036546e-03f);
  const V near_zero = hn::MulAdd(hn::Mul(x, z), p, x);
  const V one = hn::Set(d, 1.0f);
  const V e = exp(d, hn::Min(hn::Set(d, 20.0f), hn::Add(a, a)));  // a NaN is the second operand
  const V far = hn::NegMulAdd(hn::Set(d, 2.0f), reciprocal(d, hn::Add(e, one)), one);
  return hn::IfThenElse(hn::Lt(a, hn::Set(d, 0.625f)), near_zero, hn::CopySign(far, x));
}

/// e^(y^2) erfc(y) / 2 for y in [0, 10], given x = y / scale: a polynomial in t = 1 / (1 + 0.4 y),
/// times t.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V half_scaled_erfc(D d, V x, float scale) {
  const V t = reciprocal(d, hn::MulAdd(x, hn::Set(d, 0.4f * scale), hn::Set(d, 1.0f)));
  return hn::Mul(
      t, polynomial(d, t, 1.128534546e-01f, 1.124760109e-01f, 1.074595502e-01f, 6.483980140e-02f,
                    1.360331175e-01f, -1.421833453e-01f, 2.737177245e-01f, -2.494057502e-01f,
                    9.900660920e-02f, -1.479716897e-02f));
}

/// e^(-x^2/2), without the relative error of x^2 that a plain exp would amplify.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_minus_half_square(D d, V x) {
#if HEED_HAS_SCALEF  // as exp, with x^2/2 exact within the multiplication and addition
  const V a = hn::Min(hn::Set(d, 14.5f), hn::Abs(x));  // a NaN is the second operand
  const V half = hn::Mul(a, hn::Set(d, 0.5f));
  const V n = hn::Round(hn::Mul(hn::Mul(half, a), hn::Set(d, -1.44269504f)));
  const V high = hn::NegMulSub(half, a, hn::Mul(n, hn::Set(d, 0.693145752f)));
  const V r = hn::NegMulAdd(n, hn::Set(d, 1.42860677e-6f), high);
  return scale_by_power(exp_of_rest(d, r), n);
#else
  const V half = hn::Mul(x, hn::Set(d, 0.5f));
  const V square = hn::Mul(half, x);
  const V rest = hn::MulSub(half, x, square);
  const V e = exp(d, hn::Neg(square));
  // an infinite square leaves a NaN rest
  return hn::IfThenZeroElse(hn::Gt(square, hn::Set(d, 105.0f)), hn::NegMulAdd(rest, e, e));
#endif
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V erf(D d, V x) {
  const V a = hn::Min(hn::Abs(x), hn::Set(d, 10.0f));
  const V near_zero = hn::Mul(
      x, polynomial(d, hn::Mul(x, x), 1.128379166e+00f, -3.761262582e-01f, 1.128358515e-01f,
                    -2.685381182e-02f, 5.188327474e-03f, -8.010191765e-04f, 7.853855220e-05f));
  const V half_tail = hn::Mul(exp(d, hn::Neg(hn::Mul(a, a))), half_scaled_erfc(d, a, 1.0f));
  const V far = hn::CopySign(hn::NegMulAdd(hn::Set(d, 2.0f), half_tail, hn::Set(d, 1.0f)), x);
  const V y = hn::IfThenElse(hn::Lt(a, hn::Set(d, 1.0f)), near_zero, far);
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

/// The normal distribution's density and distribution function, which share an exponential.
template <class V>
struct Normal {
  V pdf;
  V cdf;
};
template <class D, class V = hn::Vec<D>>
HWY_INLINE Normal<V> normal(D d, V x) {
  const V a = hn::Min(hn::Set(d, 14.5f), hn::Abs(x));  // a NaN is the second operand
  const V e = exp_minus_half_square(d, x);
  const V tail = hn::Mul(e, half_scaled_erfc(d, a, 0.707106781f));
  const V cdf = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.0f), tail));
  return {hn::Mul(e, hn::Set(d, 0.398942280f)), cdf};
}

/// bf16 lanes widened to f32.
template <class D>
HWY_INLINE hn::Vec<D> load_f32(D d, const bfloat16* from) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> d32;
  const auto bits = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, bits)));
}
template <class D>
HWY_INLINE hn::Vec<D> load_f32(D d, const float* from) {
  return hn::LoadU(d, from);
}

/// f32 lanes rounded to nearest even; NaN stays NaN.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void store_f32(D /*d*/, V x, bfloat16* to) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> d32;
  const auto bits = hn::BitCast(d32, x);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff)));
  const auto quiet = hn::Or(bits, hn::Set(d32, 0x400000));
  const auto is_nan = hn::RebindMask(d32, hn::IsNaN(x));
  const auto high = hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet, rounded));
  hn::StoreU(hn::TruncateTo(d16, high), d16, reinterpret_cast<uint16_t*>(to));
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE void store_f32(D d, V x, float* to) {
  hn::StoreU(x, d, to);
}

}  // namespace heed::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
