#include "kernels/norm/norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "tests/samples.h"

namespace heed::kernels {
namespace {

using testing::normal;

struct Case {
  Norm kind;
  DType dtype;
  int64_t rows, width;
};

// Every statistic in f64, row by row.
struct Oracle {
  std::vector<double> sum, out, dx, dweight, dbias;
  double scale = 0;  // largest magnitude that enters an output or dx

  Oracle(const Case& c, double eps, const Tensor& residual, const Tensor& x, const Tensor& weight,
         const Tensor& bias, const Tensor& dy, const Tensor& dsum)
      : sum(residual.to_vector<double>()),
        out(sum.size()),
        dx(sum.size()),
        dweight(static_cast<size_t>(c.width)),
        dbias(static_cast<size_t>(c.width)) {
    const auto more = x.to_vector<double>(), w = weight.to_vector<double>(),
               b = bias.to_vector<double>(), g = dy.to_vector<double>(),
               gs = dsum.to_vector<double>();
    const size_t n = w.size();
    for (size_t at = 0; at < sum.size(); at += n) {
      double mean = 0, squares = 0, mean_g = 0, mean_gx = 0;
      for (size_t i = 0; i < n; ++i) {
        sum[at + i] += more[at + i];
        if (c.dtype == DType::f32) sum[at + i] = float(sum[at + i]);
        if (c.dtype == DType::bf16) sum[at + i] = float(bfloat16(float(sum[at + i])));
      }
      for (size_t i = 0; i < n; ++i) mean += c.kind == Norm::layer ? sum[at + i] / double(n) : 0;
      for (size_t i = 0; i < n; ++i) squares += (sum[at + i] - mean) * (sum[at + i] - mean);
      const double rstd = 1 / std::sqrt(squares / double(n) + eps);
      const auto x_hat = [&](size_t i) { return (sum[at + i] - mean) * rstd; };
      for (size_t i = 0; i < n; ++i) {
        out[at + i] = x_hat(i) * w[i] + b[i];
        mean_g += c.kind == Norm::layer ? g[at + i] * w[i] / double(n) : 0;
        mean_gx += g[at + i] * w[i] * x_hat(i) / double(n);
        dweight[i] += g[at + i] * x_hat(i);
        dbias[i] += g[at + i];
      }
      for (size_t i = 0; i < n; ++i) {
        dx[at + i] = rstd * (g[at + i] * w[i] - mean_g - x_hat(i) * mean_gx) + gs[at + i];
        scale = std::max(
            {scale, std::abs(sum[at + i]) * rstd * std::max(1.0, std::abs(w[i])),
             rstd * (std::abs(g[at + i] * w[i]) + std::abs(mean_g)) * (1 + std::abs(x_hat(i))),
             std::abs(gs[at + i])});
      }
    }
  }
};

void expect_near(const Tensor& actual, const std::vector<double>& expected, double tolerance,
                 const char* what) {
  const auto values = actual.to_vector<double>();
  ASSERT_EQ(values.size(), expected.size()) << what;
  // A 16-bit result is rounded once more: half of 2^-7 of its magnitude.
  const double rounding = actual.dtype() == DType::bf16 ? 0x1p-8 : 0;
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], tolerance + rounding * std::abs(expected[i]))
        << what << " " << i;
  }
}

class FusedNorm : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Odd, FusedNorm, [] {
  std::vector<Case> cases;
  for (const Norm kind : {Norm::layer, Norm::rms}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
      for (const auto& [rows, width] : std::vector<std::pair<int64_t, int64_t>>{
               {1, 1}, {3, 7}, {301, 16}, {67, 31}, {2, 1031}}) {
        cases.push_back({kind, dtype, rows, width});
      }
    }
  }
  return ::testing::ValuesIn(cases);
}());

TEST_P(FusedNorm, EqualsTheF64Formula) {
  const Case& c = GetParam();
  const Shape shape{c.rows, c.width};
  // eps is large because one element alone has variance 0: dx would be all cancellation.
  const double eps = 0.1;
  const DType statistics = c.dtype == DType::f64 ? DType::f64 : DType::f32;
  const Tensor residual = normal(shape, "r", c.dtype), x = normal(shape, "x", c.dtype),
               weight = normal({c.width}, "w", statistics),
               bias = normal({c.width}, "b", statistics), dy = normal(shape, "dy", c.dtype),
               dsum = normal(shape, "ds", c.dtype);
  const Oracle oracle(c, eps, residual, x, weight,
                      c.kind == Norm::layer ? bias : Tensor::zeros({c.width}), dy, dsum);

  const NormResult r =
      norm(c.kind, residual, x, weight, c.kind == Norm::layer ? bias : Tensor(), eps);
  // At most width / 16 + 16 roundings one after the other (16 running sums on the narrowest
  // vectors) in each of the nested sums: mean, variance, and the two means of the backward pass.
  const double u = statistics == DType::f64 ? 0x1p-53 : 0x1p-24;
  const double tolerance = 4 * u * (double(c.width) / 4 + 16) * oracle.scale;
  EXPECT_EQ(r.sum.to_vector<double>(), oracle.sum);
  expect_near(r.out, oracle.out, tolerance, "out");

  const NormGradients g = norm_backward(c.kind, dy, dsum, r.sum, weight, r.mean, r.rstd, {});
  expect_near(g.dx, oracle.dx, tolerance, "dx");
  const double columns =
      tolerance * double(c.rows) + 4 * u * double(c.rows * c.rows) * oracle.scale;
  expect_near(g.dweight, oracle.dweight, columns, "dweight");
  expect_near(g.dbias, oracle.dbias, columns, "dbias");
}

TEST(Norm, DoesNotDependOnTheThreadCount) {
  const Tensor x = normal({997, 96}, "x", DType::f32), dy = normal({997, 96}, "dy", DType::f32),
               w = normal({96}, "w", DType::f32);
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    const NormResult r = norm(Norm::layer, {}, x, w, w, 1e-5);
    const NormGradients g = norm_backward(Norm::layer, dy, {}, x, w, r.mean, r.rstd, {});
    std::vector<float> all = r.out.to_vector<float>();
    for (const Tensor& t : {g.dx, g.dweight, g.dbias}) {
      const auto more = t.to_vector<float>();
      all.insert(all.end(), more.begin(), more.end());
    }
    results.push_back(all);
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Norm, LargeOffsetsDoNotDrownTheVariance) {
  // Two passes: E[x^2] - E[x]^2 would lose everything here.
  const Tensor x = Tensor::from<float>({10000, 10001, 10002, 10003}, {1, 4});
  const auto y = norm(Norm::layer, {}, x, {}, {}, 0.0).out.to_vector<double>();
  EXPECT_NEAR(y[0], -1.5 / std::sqrt(1.25), 1e-6);
  EXPECT_NEAR(y[3], 1.5 / std::sqrt(1.25), 1e-6);
}

}  // namespace
}  // namespace heed::kernels
