#include "kernels/norm/channel_norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "kernels/norm/l2_normalize.h"
#include "tests/samples.h"

namespace heed::kernels {
namespace {

using testing::normal;

struct Case {
  DType dtype;
  int64_t samples, positions, channels, groups;
};

class ChannelNormOf : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Odd, ChannelNormOf, [] {
  std::vector<Case> cases;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const auto& [b, s, c, g] : std::vector<std::array<int64_t, 4>>{
             {1, 2, 1, 1}, {3, 7, 5, 5}, {2, 1031, 34, 17}, {1, 2501, 20, 20}, {2, 19, 1040, 1}}) {
      cases.push_back({dtype, b, s, c, g});
    }
  }
  return ::testing::ValuesIn(cases);
}());

// Moments in f64, channel by channel.
TEST_P(ChannelNormOf, EqualsTheF64Formula) {
  const Case& c = GetParam();
  const Shape shape{c.samples, c.positions, c.channels};
  const Tensor x = normal(shape, "x", c.dtype), dy = normal(shape, "dy", c.dtype);
  const DType statistics = c.dtype == DType::f64 ? DType::f64 : DType::f32;
  const Tensor weight = normal({c.channels}, "w", statistics),
               bias = normal({c.channels}, "b", statistics);
  const double eps = 0.1;
  const auto xs = x.to_vector<double>(), gs = dy.to_vector<double>(),
             w = weight.to_vector<double>(), b = bias.to_vector<double>();

  const ChannelMoments m = channel_moments(x, c.groups, "test");
  const Tensor rstd = inverse_std(m.var, eps);
  const auto out = channel_norm(x, m.mean, rstd, weight, bias, "test").to_vector<double>();
  const NormGradients g = channel_norm_backward(dy, x, m.mean, rstd, weight, c.groups, false, {});
  const auto dx = g.dx.to_vector<double>(), dw = g.dweight.to_vector<double>(),
             db = g.dbias.to_vector<double>();

  const int64_t width = c.channels / c.groups;
  const double n = double(width * c.positions);
  // Sums of at most max(16, 16384 / C) rows run one after another, four rows an addition; pieces
  // are merged in f64. Values are standard normal: magnitudes below 6, rstd below 1 / sqrt(eps).
  const double u = statistics == DType::f64 ? 0x1p-53 : 0x1p-24;
  const double rows =
      double(std::min<int64_t>(c.positions, std::max<int64_t>(16, 16384 / c.channels)));
  const double tolerance = u * (rows / 4 + 16) * 6 * 6 * 4;
  const double rounding = c.dtype == DType::bf16 ? 0x1p-8 : 0;
  std::vector<double> dweight(w.size()), dbias(w.size());
  for (int64_t s = 0; s < c.samples; ++s) {
    for (int64_t group = 0; group < c.groups; ++group) {
      const auto each = [&](auto fn) {
        for (int64_t p = 0; p < c.positions; ++p) {
          for (int64_t k = group * width; k < (group + 1) * width; ++k) {
            fn(size_t((s * c.positions + p) * c.channels + k), size_t(k));
          }
        }
      };
      double mean = 0, var = 0, mean_g = 0, mean_gx = 0;
      each([&](size_t i, size_t) { mean += xs[i] / n; });
      each([&](size_t i, size_t) { var += (xs[i] - mean) * (xs[i] - mean) / n; });
      const double r = 1 / std::sqrt(var + eps);
      each([&](size_t i, size_t k) {
        const double x_hat = (xs[i] - mean) * r;
        ASSERT_NEAR(out[i], x_hat * w[k] + b[k], tolerance + rounding * std::abs(out[i])) << i;
        mean_g += gs[i] * w[k] / n;
        mean_gx += gs[i] * w[k] * x_hat / n;
        dweight[k] += gs[i] * x_hat;
        dbias[k] += gs[i];
      });
      each([&](size_t i, size_t k) {
        const double expected = r * (gs[i] * w[k] - mean_g - (xs[i] - mean) * r * mean_gx);
        ASSERT_NEAR(dx[i], expected, tolerance + rounding * std::abs(expected)) << i;
      });
    }
  }
  for (size_t k = 0; k < dweight.size(); ++k) {
    const double terms = double(c.samples * c.positions);
    ASSERT_NEAR(dw[k], dweight[k], tolerance * terms);
    ASSERT_NEAR(db[k], dbias[k], tolerance * terms);
  }
}

TEST(ChannelNorm, LargeOffsetsDoNotDrownTheVariance) {
  std::vector<float> values(5000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = 10000.f + float(i % 4);
  for (const Shape& shape : {Shape{1, 5000, 1}, Shape{1, 1250, 4}}) {
    const ChannelMoments m = channel_moments(Tensor::from(values, shape), 1, "test");
    EXPECT_NEAR(m.mean.to_vector<double>()[0], 10001.5, 1e-3);
    EXPECT_NEAR(m.var.to_vector<double>()[0], 1.25, 1e-5);
  }
}

TEST(ChannelNorm, DoesNotDependOnTheThreadCount) {
  const Tensor x = normal({3, 1999, 40}, "x", DType::f32),
               dy = normal({3, 1999, 40}, "y", DType::f32), w = normal({40}, "w", DType::f32);
  const int before = thread_count();
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    set_thread_count(threads);
    std::vector<float> all;
    const ChannelMoments m = channel_moments(x, 10, "test");
    const Tensor rstd = inverse_std(m.var, 1e-5);
    const NormGradients g = channel_norm_backward(dy, x, m.mean, rstd, w, 10, false, {});
    const L2Normalized unit = l2_normalize(x, 1, 1e-12);
    for (const Tensor& t :
         {m.mean, m.var, channel_norm(x, m.mean, rstd, w, w, "test"), g.dx, g.dweight, g.dbias,
          unit.out, l2_normalize_backward(dy, x, unit.inverse, 1, 1e-12)}) {
      const auto more = t.to_vector<float>();
      all.insert(all.end(), more.begin(), more.end());
    }
    results.push_back(all);
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(L2Normalize, EqualsTheF64Formula) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const Shape& shape : {Shape{3, 37}, Shape{2, 5, 19}, Shape{4, 1, 3}}) {
      const Tensor x = normal(shape, "x", dtype), dy = normal(shape, "dy", dtype);
      const Tensor wide = Tensor::from(x.to_vector<double>(), shape),
                   wide_dy = Tensor::from(dy.to_vector<double>(), shape);
      // Below 40 terms; a result is at most 1, a gradient |dy| / |x| < 10.
      const double u = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
      const double rounding = dtype == DType::bf16 ? 0x1p-8 : 0;
      for (int dim = 0; dim < shape.rank(); ++dim) {
        const L2Normalized r = l2_normalize(x, dim, 0.3);
        const auto out = r.out.to_vector<double>(),
                   dx = l2_normalize_backward(dy, x, r.inverse, dim, 0.3).to_vector<double>();
        const int64_t n = shape[dim];
        int64_t inner = 1;
        for (int i = dim + 1; i < shape.rank(); ++i) inner *= shape[i];
        const auto xs = wide.to_vector<double>(), gs = wide_dy.to_vector<double>();
        for (int64_t i = 0; i < shape.numel(); ++i) {
          const int64_t first = i / (n * inner) * n * inner + i % inner;
          double squares = 0, product = 0;
          for (int64_t k = 0; k < n; ++k) {
            const size_t at = size_t(first + k * inner);
            squares += xs[at] * xs[at];
            product += xs[at] * gs[at];
          }
          const double length = std::sqrt(squares), r1 = 1 / std::max(length, 0.3);
          const double expected = xs[size_t(i)] * r1;
          const double slope = r1 * (gs[size_t(i)] - (length > 0.3 ? expected * r1 * product : 0));
          ASSERT_NEAR(out[size_t(i)], expected, 64 * u + rounding * std::abs(expected));
          ASSERT_NEAR(dx[size_t(i)], slope,
                      64 * u * 10 * (1 + std::abs(product)) + rounding * std::abs(slope));
        }
      }
    }
  }
}

}  // namespace
}  // namespace heed::kernels
