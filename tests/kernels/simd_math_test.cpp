// Every elementary function against <cmath> in f64, over a sweep of all exponents and signs, on
// every instruction set that this machine has.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/simd_math_test.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/simd_math-inl.h"

#ifndef HEED_TESTS_SIMD_MATH_FUNCTION
#define HEED_TESTS_SIMD_MATH_FUNCTION
namespace heed {
enum class Function { exp, log, expm1, log1p, sigmoid, tanh, erf, normal_cdf, normal_pdf };
}
#endif

HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
namespace sm = heed::simd::HWY_NAMESPACE;

bool has_fma() { return HWY_NATIVE_FMA != 0; }

void evaluate(Function function, const float* x, int64_t n, float* y) {
  const hn::ScalableTag<float> d;
  for (int64_t i = 0; i + static_cast<int64_t>(hn::Lanes(d)) <= n; i += hn::Lanes(d)) {
    const auto v = hn::LoadU(d, x + i);
    auto r = v;
    switch (function) {
      case Function::exp:
        r = sm::exp(d, v);
        break;
      case Function::log:
        r = sm::log(d, v);
        break;
      case Function::expm1:
        r = sm::expm1(d, v);
        break;
      case Function::log1p:
        r = sm::log1p(d, v);
        break;
      case Function::sigmoid:
        r = sm::sigmoid(d, v);
        break;
      case Function::tanh:
        r = sm::tanh(d, v);
        break;
      case Function::erf:
        r = sm::erf(d, v);
        break;
      case Function::normal_cdf:
        r = sm::normal(d, v).cdf;
        break;
      case Function::normal_pdf:
        r = sm::normal(d, v).pdf;
        break;
    }
    hn::StoreU(r, d, y + i);
  }
}

void round_trip_bf16(const float* x, int64_t n, bfloat16* y, float* back) {
  const hn::ScalableTag<float> d;
  for (int64_t i = 0; i + static_cast<int64_t>(hn::Lanes(d)) <= n; i += hn::Lanes(d)) {
    sm::store_f32(d, hn::LoadU(d, x + i), y + i);
    hn::StoreU(sm::load_f32(d, y + i), d, back + i);
  }
}

}  // namespace
}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace heed {
namespace {

HWY_EXPORT(evaluate);
HWY_EXPORT(round_trip_bf16);
HWY_EXPORT(has_fma);

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Every exponent with 256 mantissas and both signs, then the special values (a multiple of 16).
std::vector<float> sweep() {
  std::vector<float> x;
  for (uint32_t high = 0; high < 0x10000; ++high) {
    const float v = std::bit_cast<float>((high << 16) | (high * 40503u & 0xffffu));
    if (std::isfinite(v)) x.push_back(v);
  }
  for (int i = -60000; i < 60000; ++i) x.push_back(static_cast<float>(i) * 0.00173f);
  x.insert(x.end(), {0.0f, -0.0f, kInf, -kInf, kNaN});
  while (x.size() % 16 != 0) x.push_back(1.0f);
  return x;
}

// Distance in units of the last place of the exact value (of the smallest normal, below it).
double error_in_ulp(float got, double exact) {
  if (std::isnan(exact)) return std::isnan(got) ? 0 : kInf;
  if (std::abs(exact) > std::numeric_limits<float>::max()) {
    return got == static_cast<float>(exact) ? 0 : kInf;
  }
  if (!std::isfinite(got)) return kInf;
  const int exponent = exact == 0 ? -126 : std::max(std::ilogb(exact), -126);
  return std::abs(static_cast<double>(got) - exact) / std::ldexp(1.0, exponent - 23);
}

template <class Check>
void on_every_target(Check&& check) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    check(HWY_DYNAMIC_DISPATCH(has_fma)());
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// `amplified(x)`: the exponent whose rounding (without FMA) multiplies the relative error.
template <class Exact, class Bound>
void expect_within(Function function, Exact&& exact, Bound&& bound) {
  on_every_target([&](bool fma) {
    const std::vector<float> x = sweep();
    std::vector<float> y(x.size());
    HWY_DYNAMIC_DISPATCH(evaluate)
    (function, x.data(), static_cast<int64_t>(x.size()), y.data());
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double error = error_in_ulp(y[i], exact(static_cast<double>(x[i])));
      const double ratio = error / bound(static_cast<double>(x[i]), fma);
      EXPECT_LE(ratio, 1.0) << "x = " << x[i] << ", got " << y[i] << ", exact "
                            << exact(static_cast<double>(x[i])) << ", " << error << " ulp";
      if (ratio > 1.0) return;
      worst = std::max(worst, error);
    }
    testing::Test::RecordProperty("worst_ulp", std::to_string(worst));
  });
}
auto ulp(double bound) {
  return [bound](double, bool) { return bound; };
}
// Without FMA the square in the exponent is rounded: half an ulp of it is a relative error.
auto ulp_of_square(double bound) {
  return [bound](double x, bool fma) { return bound + (fma ? 0.0 : std::fmin(x * x, 210.0)); };
}

TEST(SimdMath, Exp) {
  expect_within(
      Function::exp, [](double x) { return std::exp(x); }, ulp(1.5));
}
TEST(SimdMath, Log) {
  expect_within(
      Function::log, [](double x) { return std::log(x); }, ulp(1.5));
}
TEST(SimdMath, Expm1) {
  expect_within(
      Function::expm1, [](double x) { return std::expm1(x); }, ulp(3));
}
TEST(SimdMath, Log1p) {
  expect_within(
      Function::log1p, [](double x) { return std::log1p(x); }, ulp(4));
}
TEST(SimdMath, Sigmoid) {
  expect_within(
      Function::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, ulp(3));
}
TEST(SimdMath, Tanh) {
  expect_within(
      Function::tanh, [](double x) { return std::tanh(x); }, ulp(3));
}
TEST(SimdMath, Erf) {
  expect_within(
      Function::erf, [](double x) { return std::erf(x); }, ulp(3));
}
TEST(SimdMath, NormalDistribution) {
  expect_within(
      Function::normal_cdf, [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); },
      ulp_of_square(6));
  expect_within(
      Function::normal_pdf,
      [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); },
      ulp_of_square(3));
}

TEST(SimdMath, Bfloat16RoundsAsTheScalarType) {
  on_every_target([](bool) {
    const std::vector<float> x = sweep();
    std::vector<bfloat16> y(x.size());
    std::vector<float> back(x.size());
    HWY_DYNAMIC_DISPATCH(round_trip_bf16)
    (x.data(), static_cast<int64_t>(x.size()), y.data(), back.data());
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(y[i].bits, bfloat16(x[i]).bits) << x[i];
      ASSERT_EQ(std::bit_cast<uint32_t>(back[i]),
                std::bit_cast<uint32_t>(static_cast<float>(y[i])));
    }
  });
}

}  // namespace
}  // namespace heed
#endif
