// Elementwise kernels against the same formulas in f64, over odd shapes and layouts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "core/parallel.h"
#include "core/random.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/compare.h"
#include "kernels/elementwise/parametric.h"
#include "kernels/elementwise/unary.h"
#include "kernels/random/fill.h"

namespace heed::kernels {
namespace {

constexpr double kEps = 0x1p-23;  // one f32 ulp of 1

Tensor uniform(const Shape& shape, double low, double high, DType dtype, uint64_t purpose = 1) {
  const Tensor x = Tensor::empty(shape, dtype);
  fill_uniform(x, low, high, RandomKey{1, purpose, 0});
  return x;
}

double phi(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }
double cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double gelu_slope(double x) {
  const double k = 2 * std::sqrt(2 / std::numbers::pi),
               s = logistic(k * (x + 0.044715 * x * x * x));
  return s + x * s * (1 - s) * k * (1 + 3 * 0.044715 * x * x);
}

struct Case {
  Unary op;
  double low, high;
  std::function<double(double)> value, slope;
  // Largest relative error of the value in ulps; of the slope in ulps of max(1, |slope|), since the
  // slopes of silu and gelu cross zero by cancellation.
  double value_ulp, slope_ulp;
};

void PrintTo(const Case& c, std::ostream* out) { *out << name_of(c.op); }

// Errors of the elementary functions (kernels/simd_math-inl.h) plus half an ulp for each further
// rounding. Arguments of exp that are rounded themselves add |argument| / 2 ulp (gelu_tanh: the
// argument has four roundings and is below 12 where the value is not negligible).
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {Unary::neg, -3, 3, [](double x) { return -x; }, [](double) { return -1.0; }, 0, 0},
      {Unary::exp, -10, 10, [](double x) { return std::exp(x); },
       [](double x) { return std::exp(x); }, 1.5, 2},
      {Unary::log, 0.01, 20, [](double x) { return std::log(x); }, [](double x) { return 1 / x; },
       1.5, 1},
      {Unary::sqrt, 0.01, 20, [](double x) { return std::sqrt(x); },
       [](double x) { return 0.5 / std::sqrt(x); }, 0.5, 1.5},
      {Unary::rsqrt, 0.01, 20, [](double x) { return 1 / std::sqrt(x); },
       [](double x) { return -0.5 * std::pow(x, -1.5); }, 1.5, 6},
      {Unary::square, -5, 5, [](double x) { return x * x; }, [](double x) { return 2 * x; }, 0.5,
       0.5},
      {Unary::tanh, -10, 10, [](double x) { return std::tanh(x); },
       [](double x) { return 1 - std::tanh(x) * std::tanh(x); }, 3, 7},
      {Unary::sigmoid, -20, 20, logistic, [](double x) { return logistic(x) * (1 - logistic(x)); },
       3, 4},
      {Unary::relu, -3, 3, [](double x) { return std::max(x, 0.0); },
       [](double x) { return x > 0 ? 1.0 : 0.0; }, 0, 0},
      {Unary::silu, -20, 20, [](double x) { return x * logistic(x); },
       [](double x) { return logistic(x) * (1 + x * (1 - logistic(x))); }, 3.5, 12},
      {Unary::gelu, -5, 5, [](double x) { return x * cdf(x); },
       [](double x) { return cdf(x) + x * phi(x); }, 6.5, 10},
      {Unary::gelu_tanh, -3, 3,
       [](double x) {
         return x * logistic(2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x));
       },
       gelu_slope, 3.5 + 24, 60},
      {Unary::abs, -3, 3, [](double x) { return std::abs(x); },
       [](double x) { return x > 0 ? 1.0 : -1.0; }, 0, 0},
      {Unary::sign, -3, 3, [](double x) { return x > 0 ? 1.0 : -1.0; }, [](double) { return 0.0; },
       0, 0},
      {Unary::sin, -3, 3, [](double x) { return std::sin(x); },
       [](double x) { return std::cos(x); }, 3, 3.5},
      {Unary::cos, -1.5, 1.5, [](double x) { return std::cos(x); },
       [](double x) { return -std::sin(x); }, 3, 3.5},
      {Unary::expm1, -10, 10, [](double x) { return std::expm1(x); },
       [](double x) { return std::exp(x); }, 3, 4},
      {Unary::log1p, -0.9, 20, [](double x) { return std::log1p(x); },
       [](double x) { return 1 / (1 + x); }, 4, 1},
      {Unary::erf, -4, 4, [](double x) { return std::erf(x); },
       [](double x) { return 2 / std::sqrt(std::numbers::pi) * std::exp(-x * x); }, 3, 4},
      {Unary::relu6, -2, 8, [](double x) { return std::clamp(x, 0.0, 6.0); },
       [](double x) { return x > 0 && x < 6 ? 1.0 : 0.0; }, 0, 0},
      // x / 6 and the sum round; the sum cancels near -3, where it is the smallest
      {Unary::hard_sigmoid, -2.5, 5, [](double x) { return std::clamp(x / 6 + 0.5, 0.0, 1.0); },
       [](double x) { return x > -3 && x < 3 ? 1 / 6.0 : 0.0; }, 4, 0.5},
      {Unary::hard_swish, -2.5, 5, [](double x) { return x * std::clamp(x / 6 + 0.5, 0.0, 1.0); },
       [](double x) { return x < 3 ? x / 3 + 0.5 : 1.0; }, 4.5, 1.5},
  };
  return all;
}

class UnaryKernels : public ::testing::TestWithParam<Case> {};

TEST_P(UnaryKernels, ValueAndSlopeAgainstF64) {
  const Case& c = GetParam();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    // a stored bf16 has a relative error of 2^-8 more
    const double rounding = dtype == DType::bf16 ? 0x1p-8 : 0.0;
    const Tensor x = uniform({3, 17, 29}, c.low, c.high, dtype);
    const Tensor dy = uniform({3, 17, 29}, 0.5, 1.5, dtype, 2);
    const Tensor y = unary(c.op, x);
    const Tensor dx = unary_backward(c.op, dy, saves_output(c.op) ? y : x);
    const auto in = x.to_vector<double>(), d = dy.to_vector<double>();
    const auto value = y.to_vector<double>(), gradient = dx.to_vector<double>();
    // a saved y is rounded: what that does to the slope is at most its largest derivative by y
    const double saved = saves_output(c.op) ? 4 * rounding : 0.0;
    for (size_t i = 0; i < in.size(); ++i) {
      const double exact = c.value(in[i]), slope = c.slope(in[i]);
      ASSERT_NEAR(value[i], exact, std::abs(exact) * (c.value_ulp * kEps + rounding))
          << name_of(c.op) << "(" << in[i] << ") in " << heed::name_of(dtype);
      ASSERT_NEAR(
          gradient[i], d[i] * slope,
          d[i] * std::max(1.0, std::abs(slope)) * ((c.slope_ulp + 0.5) * kEps + rounding + saved))
          << "slope of " << name_of(c.op) << "(" << in[i] << ") in " << heed::name_of(dtype);
    }
  }
}

TEST_P(UnaryKernels, EqualsF64Exactly) {
  const Case& c = GetParam();
  const Tensor x = uniform({31}, c.low, c.high, DType::f64);
  const auto in = x.to_vector<double>(), out = unary(c.op, x).to_vector<double>();
  for (size_t i = 0; i < in.size(); ++i) {
    ASSERT_NEAR(out[i], c.value(in[i]), 1e-14 * std::max(1.0, std::abs(c.value(in[i]))));
  }
}

// Each element has the same result wherever rows are cut, alone or among others, on any threads.
TEST_P(UnaryKernels, AnElementDoesNotDependOnItsNeighbours) {
  const Case& c = GetParam();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = uniform({50021}, c.low, c.high, dtype);
    const int threads = thread_count();
    set_thread_count(1);
    const std::vector<float> all = unary(c.op, x).to_vector<float>();
    for (const int other : {2, 3}) {
      set_thread_count(other);
      EXPECT_EQ(unary(c.op, x).to_vector<float>(), all);
    }
    set_thread_count(threads);
    for (int64_t i = 0; i < 100; ++i) {
      const Tensor one = views::slice(x, 0, i, i + 1);
      ASSERT_EQ(unary(c.op, one).to_vector<float>()[0], all[static_cast<size_t>(i)]);
    }
    const Tensor every_other = views::slice(x, 0, 0, 50021, 2);
    const std::vector<float> strided = unary(c.op, every_other).to_vector<float>();
    for (size_t i = 0; i < strided.size(); ++i) ASSERT_EQ(strided[i], all[2 * i]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, UnaryKernels, ::testing::ValuesIn(cases()),
                         [](const auto& param_info) { return name_of(param_info.param.op); });

TEST(UnaryKernel, NaNAndInfinityPassThrough) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = Tensor::from<float>({inf, -inf, nan}, {3});
  for (const Case& c : cases()) {
    EXPECT_TRUE(std::isnan(unary(c.op, x).to_vector<float>()[2])) << name_of(c.op);
  }
  EXPECT_EQ(unary(Unary::exp, x).to_vector<float>()[0], inf);
  EXPECT_EQ(unary(Unary::exp, x).to_vector<float>()[1], 0.0f);
  EXPECT_EQ(unary(Unary::tanh, x).to_vector<float>()[1], -1.0f);
  EXPECT_EQ(unary(Unary::relu, x).to_vector<float>()[1], 0.0f);
  EXPECT_EQ(unary(Unary::gelu, x).to_vector<float>()[0], inf);
  EXPECT_EQ(unary(Unary::silu, x).to_vector<float>()[0], inf);
}

double apply(Binary op, double a, double b) {
  switch (op) {
    case Binary::add:
      return a + b;
    case Binary::sub:
      return a - b;
    case Binary::mul:
      return a * b;
    case Binary::div:
      return a / b;
    case Binary::maximum:
      return std::max(a, b);
    case Binary::minimum:
      return std::min(a, b);
    case Binary::pow:
      return std::pow(a, b);
  }
  return NAN;
}

TEST(BinaryKernel, BroadcastsAnyLayout) {
  const std::vector<std::pair<Shape, Shape>> shapes = {
      {{}, {}},           {{7}, {}},       {{33, 5}, {5}},       {{33, 5}, {33, 1}},
      {{1, 300}, {7, 1}}, {{0, 3}, {3}},   {{2, 1, 40}, {3, 1}}, {{2, 3, 1, 5}, {3, 7, 1}},
      {{129}, {129}},     {{4, 1}, {4, 1}}};
  for (const auto& [a_shape, b_shape] : shapes) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
      const double eps = dtype == DType::f32 ? 0x1p-24 : dtype == DType::bf16 ? 0x1p-8 : 0.0;
      for (const Binary op : {Binary::add, Binary::sub, Binary::mul, Binary::div}) {
        const Tensor a = uniform(a_shape, -2, 2, dtype, 1);
        Tensor b = uniform(b_shape, 0.5, 2, dtype, 2);
        if (b.rank() == 2) {  // a layout of its own
          b = views::transpose(contiguous(views::transpose(b, 0, 1)), 0, 1);
        }
        const Tensor y = binary(op, a, b);
        const auto out = y.to_vector<double>();
        const auto x0 = views::expand(a, y.shape()).to_vector<double>();
        const auto x1 = views::expand(b, y.shape()).to_vector<double>();
        for (size_t i = 0; i < out.size(); ++i) {
          const double exact = apply(op, x0[i], x1[i]);
          ASSERT_NEAR(out[i], exact, std::abs(exact) * eps)
              << name_of(op) << a.to_string() << b.to_string();
        }
      }
    }
  }
}

TEST(BinaryKernel, ANumberKeepsItsOwnPrecision) {
  const Tensor x = Tensor::full({3}, 1.0, DType::bf16);
  // 1 + 2^-7 in bf16 from a number that bf16 would round to 0.0077
  EXPECT_EQ(binary(Binary::add, x, 0.00775).to_vector<float>()[0], 1.0078125f);
  EXPECT_EQ(
      binary(Binary::mul, Tensor::full({1}, 256.0, DType::bf16), 1.00390625).to_vector<float>()[0],
      256.0f);  // 257 lies halfway and goes to even
}

TEST(BinaryKernel, MaximumAndMinimum) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> x0 = {1, 2, 2, nan, 1, nan, -1}, x1 = {2, 1, 2, 1, nan, nan, -3};
  const std::vector<double> to_first = {0, 1, 1, 1, 0, 1, 1};  // of the maximum
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    const Tensor a = cast(Tensor::from(x0, {7}), dtype), b = cast(Tensor::from(x1, {7}), dtype);
    const auto larger = binary(Binary::maximum, a, b).to_vector<double>();
    const auto smaller = binary(Binary::minimum, a, b).to_vector<double>();
    const auto [da, db] = binary_backward(Binary::maximum, Tensor::full({7}, 1, dtype), a, b);
    for (size_t i = 0; i < x0.size(); ++i) {
      if (std::isnan(x0[i]) || std::isnan(x1[i])) {
        EXPECT_TRUE(std::isnan(larger[i]) && std::isnan(smaller[i])) << i;
      } else {
        EXPECT_EQ(larger[i], std::max(x0[i], x1[i]));
        EXPECT_EQ(smaller[i], std::min(x0[i], x1[i]));
      }
    }
    EXPECT_EQ(da.to_vector<double>(), to_first);
    for (size_t i = 0; i < 7; ++i) EXPECT_EQ(db.to_vector<double>()[i], 1 - to_first[i]);
  }
}

TEST(BinaryKernel, PowIsCorrectlyRoundedToAnUlp) {
  const Tensor a = uniform({1003}, 0.1, 4, DType::f32, 1);
  const Tensor b = uniform({1003}, -5, 5, DType::f32, 2);
  const auto y = binary(Binary::pow, a, b).to_vector<double>();
  const auto x0 = a.to_vector<double>(), x1 = b.to_vector<double>();
  for (size_t i = 0; i < y.size(); ++i) {
    const double exact = std::pow(x0[i], x1[i]);
    ASSERT_NEAR(y[i], exact, kEps * exact);
  }
}

struct ParametricCase {
  Parametric op;
  double a, b;
  std::function<double(double)> value, slope;
  double value_ulp, slope_ulp;  // of max(1, |slope|)
};

// softplus: |z| rounds, then exp (1.5 + |z| / 2 where the sum is not x itself), log1p, sum,
// quotient
TEST(ParametricKernels, ValueAndSlopeAgainstF64) {
  const std::vector<ParametricCase> all = {
      {Parametric::softplus, 1.5, 20, [](double x) { return std::log1p(std::exp(1.5 * x)) / 1.5; },
       [](double x) { return logistic(1.5 * x); }, 14, 8},
      {Parametric::softplus, 4, 2,
       [](double x) { return 4 * x > 2 ? x : std::log1p(std::exp(4 * x)) / 4; },
       [](double x) { return 4 * x > 2 ? 1 : logistic(4 * x); }, 14, 8},
      {Parametric::elu, 0.7, 0, [](double x) { return x > 0 ? x : double{0.7f} * std::expm1(x); },
       [](double x) { return x > 0 ? 1 : double{0.7f} * std::exp(x); }, 3.5, 2.5},
      {Parametric::leaky_relu, 0.125, 0, [](double x) { return x > 0 ? x : 0.125 * x; },
       [](double x) { return x > 0 ? 1 : 0.125; }, 0, 0},
      {Parametric::clamp, -1.5, 2, [](double x) { return std::clamp(x, -1.5, 2.0); },
       [](double x) { return x < -1.5 || x > 2 ? 0.0 : 1.0; }, 0, 0},
      {Parametric::pow, 3, 0, [](double x) { return x * x * x; },
       [](double x) { return 3 * x * x; }, 1, 2},
  };
  for (const ParametricCase& c : all) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const double rounding = dtype == DType::bf16 ? 0x1p-8 : 0.0;
      const Tensor x = uniform({3, 17, 29}, -5, 5, dtype);
      const Tensor dy = uniform({3, 17, 29}, 0.5, 1.5, dtype, 2);
      const auto y = parametric(c.op, x, c.a, c.b).to_vector<double>();
      const auto dx = parametric_backward(c.op, dy, x, c.a, c.b).to_vector<double>();
      const auto in = x.to_vector<double>(), d = dy.to_vector<double>();
      for (size_t i = 0; i < in.size(); ++i) {
        const double exact = c.value(in[i]), slope = c.slope(in[i]);
        ASSERT_NEAR(y[i], exact, std::abs(exact) * (c.value_ulp * kEps + rounding))
            << name_of(c.op) << "(" << in[i] << ")";
        ASSERT_NEAR(dx[i], d[i] * slope,
                    d[i] * std::max(1.0, std::abs(slope)) * ((c.slope_ulp + 0.5) * kEps + rounding))
            << "slope of " << name_of(c.op) << "(" << in[i] << ")";
      }
    }
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const ParametricCase& c : all) {
    const Tensor x = Tensor::full({3}, nan);
    EXPECT_TRUE(std::isnan(parametric(c.op, x, c.a, c.b).to_vector<float>()[1])) << name_of(c.op);
  }
}

TEST(Compare, EveryDtypeAndLayout) {
  for (const DType dtype :
       {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i32, DType::i64, DType::u8}) {
    const Tensor a = cast(Tensor::from<double>({1, 2, 3, 4, 5, 6}, {2, 3}), dtype);
    const Tensor b = views::transpose(cast(Tensor::from<double>({1, 3, 5}, {3, 1}), dtype), 0, 1);
    using Bools = std::vector<int>;
    EXPECT_EQ(compare(Compare::eq, a, b).to_vector<int>(), (Bools{1, 0, 0, 0, 0, 0}));
    EXPECT_EQ(compare(Compare::ne, a, b).to_vector<int>(), (Bools{0, 1, 1, 1, 1, 1}));
    EXPECT_EQ(compare(Compare::lt, a, b).to_vector<int>(), (Bools{0, 1, 1, 0, 0, 0}));
    EXPECT_EQ(compare(Compare::le, a, b).to_vector<int>(), (Bools{1, 1, 1, 0, 0, 0}));
    EXPECT_EQ(compare(Compare::gt, a, b).to_vector<int>(), (Bools{0, 0, 0, 1, 1, 1}));
    EXPECT_EQ(compare(Compare::ge, a, 3.0).to_vector<int>(), (Bools{0, 0, 1, 1, 1, 1}));
  }
  const Tensor nan = Tensor::full({1}, std::nan(""));
  EXPECT_FALSE(compare(Compare::eq, nan, nan).item());
  EXPECT_TRUE(compare(Compare::ne, nan, nan).item());
  EXPECT_TRUE(compare(Compare::eq, Tensor::full({1}, 0.1f), 0.1).item());
  EXPECT_THROW(compare(Compare::eq, Tensor::zeros({2}), Tensor::zeros({2}, DType::i64)), Error);
}

TEST(SwiGlu, EqualsItsFormulaAndWritesIntoPackedHalves) {
  const int64_t features = 37;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const double eps = dtype == DType::bf16 ? 0x1p-8 : 20 * kEps;
    const Tensor packed = uniform({5, 2 * features}, -4, 4, dtype);
    const Tensor gate = views::slice(packed, 1, 0, features);
    const Tensor up = views::slice(packed, 1, features, 2 * features);
    const Tensor dy = uniform({5, features}, -1, 1, dtype, 2);
    const Tensor gradient = Tensor::empty({5, 2 * features}, dtype);
    const Tensor dgate = views::slice(gradient, 1, 0, features);
    const Tensor dup = views::slice(gradient, 1, features, 2 * features);
    swiglu_backward(dy, gate, up, dgate, dup);
    const auto y = swiglu(gate, up).to_vector<double>();
    const auto g = gate.to_vector<double>(), u = up.to_vector<double>(), d = dy.to_vector<double>();
    const auto dg = dgate.to_vector<double>(), du = dup.to_vector<double>();
    for (size_t i = 0; i < y.size(); ++i) {
      const double s = logistic(g[i]);
      ASSERT_NEAR(y[i], g[i] * s * u[i], eps * std::abs(g[i] * s * u[i]));
      ASSERT_NEAR(du[i], d[i] * g[i] * s, eps * std::abs(d[i] * g[i] * s));
      ASSERT_NEAR(dg[i], d[i] * u[i] * s * (1 + g[i] * (1 - s)),
                  eps * std::abs(d[i] * u[i]) * (1 + std::abs(g[i])));
    }
  }
}

TEST(Accumulate, AddsAnyLayoutAndDtype) {
  const Shape shape = {3, 130, 67};
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const DType other : {DType::f32, DType::bf16, DType::f64}) {
      const Tensor a = uniform(shape, -2, 2, dtype, 1);
      const Tensor b = views::transpose(uniform({67, 130, 3}, -2, 2, other, 2), 0, 2);
      const auto x0 = a.to_vector<double>(), x1 = b.to_vector<double>();
      const auto apart = add_out_of_place(a, b).to_vector<double>();
      const uint64_t version = a.version();
      add_inplace(a, b);
      EXPECT_GT(a.version(), version);
      const auto in_place = a.to_vector<double>();
      EXPECT_EQ(apart, in_place);
      // b is rounded to the sum's dtype, then the sum
      const double eps = dtype == DType::f64 ? 0x1p-53 : dtype == DType::f32 ? 0x1p-24 : 0x1p-8;
      for (size_t i = 0; i < x0.size(); ++i) {
        ASSERT_NEAR(in_place[i], x0[i] + x1[i],
                    eps * (std::abs(x1[i]) + 1.01 * std::abs(x0[i] + x1[i])));
      }
    }
  }
  EXPECT_THROW(add_inplace(Tensor::zeros({2}), Tensor::zeros({3})), Error);
}

}  // namespace
}  // namespace heed::kernels
