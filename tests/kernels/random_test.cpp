#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/random/dropout.h"
#include "kernels/random/fill.h"
#include "kernels/random/random_rows.h"

namespace heed::kernels {
namespace {

const RandomKey kKey{.seed = 3, .purpose = 5, .step = 7};

TEST(RandomRows, WordsAreThoseOfTheStream) {
  const RandomStream stream(kKey);
  // also across the carry out of the counter's low word
  for (const int64_t first : {int64_t{0}, int64_t{4}, int64_t{1000}, (int64_t{1} << 34) - 32}) {
    for (const int64_t n : {0, 1, 3, 4, 63, 64, 65, 131}) {
      std::vector<uint32_t> words(static_cast<size_t>(n));
      std::vector<float> uniforms(static_cast<size_t>(n));
      random_words(stream, first, n, words.data());
      random_uniforms(stream, first, n, uniforms.data());
      for (int64_t i = 0; i < n; ++i) {
        const uint64_t element = static_cast<uint64_t>(first + i);
        ASSERT_EQ(words[static_cast<size_t>(i)], stream.word(element)) << first << " + " << i;
        ASSERT_EQ(uniforms[static_cast<size_t>(i)], stream.uniform(element));
      }
    }
  }
}

TEST(RandomRows, NormalsAreThoseOfTheStreamUpToRounding) {
  const RandomStream stream(kKey);
  std::vector<float> values(100003);
  random_normals(stream, 0, 100003, values.data());
  // the stream's own angle 2 pi u is rounded to f32: an error of up to 2 pi 2^-24 (twice: the
  // constant, the product), times a radius of up to sqrt(48 log 2)
  const double bound = 2 * 6.2832 * 0x1p-24 * 5.8 + 4 * 5.8 * 0x1p-24;
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], stream.normal(i), bound) << i;
  }
}

struct Moments {
  double mean = 0, variance = 0, smallest = 1e30, largest = -1e30;
};
Moments moments(const Tensor& x) {
  Moments m;
  const std::vector<double> v = x.to_vector<double>();
  for (const double a : v) m.mean += a / static_cast<double>(v.size());
  for (const double a : v) {
    m.variance += (a - m.mean) * (a - m.mean) / static_cast<double>(v.size());
    m.smallest = std::min(m.smallest, a);
    m.largest = std::max(m.largest, a);
  }
  return m;
}

TEST(Fill, MomentsAndRanges) {
  // Bounds are five standard errors of a mean or variance of n draws.
  const int64_t n = 1 << 20;
  const double root_n = 1024;
  const Tensor x = Tensor::empty({n});
  fill_uniform(x, -1.0, 3.0, kKey);
  Moments m = moments(x);
  EXPECT_NEAR(m.mean, 1.0, 5 * std::sqrt(16.0 / 12) / root_n);
  EXPECT_NEAR(m.variance, 16.0 / 12, 5 * 16 * std::sqrt(1.0 / 180) / root_n);
  EXPECT_GE(m.smallest, -1.0);
  EXPECT_LE(m.largest, 3.0);
  fill_normal(x, 2.0, 0.5, kKey);
  m = moments(x);
  EXPECT_NEAR(m.mean, 2.0, 5 * 0.5 / root_n);
  EXPECT_NEAR(m.variance, 0.25, 5 * 0.25 * std::sqrt(2.0) / root_n);
  EXPECT_GT(m.largest, 2.0 + 0.5 * 4);  // expected once in 32000
  fill_truncated_normal(x, 0.0, 1.0, 2.0, kKey);
  m = moments(x);
  // variance of a normal cut at +-2: 1 - 4 phi(2) / (2 Phi(2) - 1)
  const double phi = std::exp(-2.0) / std::sqrt(2 * M_PI), inside = std::erf(std::sqrt(2.0));
  EXPECT_NEAR(m.mean, 0.0, 5 * 0.88 / root_n);
  EXPECT_NEAR(m.variance, 1 - 4 * phi / inside, 5 * 0.8 / root_n);
  EXPECT_GE(m.smallest, -2.0);
  EXPECT_LE(m.largest, 2.0);
  fill_bernoulli(x, 0.3, kKey);
  m = moments(x);
  EXPECT_NEAR(m.mean, 0.3, 5 * std::sqrt(0.21) / root_n);
  EXPECT_EQ(m.smallest, 0.0);
  EXPECT_EQ(m.largest, 1.0);
}

TEST(Fill, ATruncatedNormalIsTheQuantileOfItsUniform) {
  const RandomStream stream(kKey);
  for (const double cut : {0.5, 2.0, 5.0}) {
    std::vector<float> z(10001);
    random_truncated_normals(stream, cut, 0, 10001, z.data());
    const double inside = std::erf(cut / std::sqrt(2.0));
    for (size_t i = 0; i < z.size(); ++i) {
      // the distribution function undoes the quantile. p is rounded to f32 (2^-25 near 1, twice);
      // a relative error of 1e-6 of z weighs |z| phi(z) < 0.25.
      const double p = 0.5 * (1 - inside) + inside * (stream.uniform(i) + 0x1p-25);
      ASSERT_NEAR(0.5 * std::erfc(-z[i] / std::sqrt(2.0)), p, 3 * 0x1p-24 + 0.25e-6) << z[i];
    }
  }
}

TEST(Fill, DoesNotDependOnThreadsLayoutOrDtype) {
  const Shape shape = {3, 17, 1013};
  const Tensor x = Tensor::empty(shape);
  const int threads = thread_count();
  set_thread_count(1);
  fill_normal(x, 0, 1, kKey);
  set_thread_count(3);
  const Tensor y = Tensor::empty(shape);
  fill_normal(y, 0, 1, kKey);
  set_thread_count(threads);
  EXPECT_EQ(x.to_vector<float>(), y.to_vector<float>());
  const Tensor strided = views::transpose(Tensor::empty({17, 3, 1013}), 0, 1);
  fill_normal(strided, 0, 1, kKey);
  EXPECT_EQ(x.to_vector<float>(), strided.to_vector<float>());
  const Tensor f64 = Tensor::empty(shape, DType::f64);
  fill_normal(f64, 0, 1, kKey);
  EXPECT_EQ(x.to_vector<float>(), f64.to_vector<float>());
}

TEST(Dropout, KeepsByKeyAndRowAloneInEveryDtype) {
  const double p = 0.3;
  const uint32_t threshold = static_cast<uint32_t>(p * 0x1p32);
  const int threads = thread_count();
  const uint64_t far = (uint64_t{1} << 34) - 3;
  for (const auto& [shape, first_row] : {std::pair<Shape, uint64_t>{{5, 20011}, 0},
                                         {{9000, 3}, 7},
                                         {{2, 3, 40000}, far},
                                         {{7}, 1}}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
      const Tensor x = Tensor::full(shape, 1.5, dtype);
      set_thread_count(1);
      const std::vector<double> one =
          dropout(x, p, kKey, {.first_row = first_row}).to_vector<double>();
      set_thread_count(3);
      EXPECT_EQ(dropout(x, p, kKey, {.first_row = first_row}).to_vector<double>(), one);
      const size_t width = one.size() / static_cast<size_t>(shape[0]);
      int64_t kept = 0;
      for (size_t i = 0; i < one.size(); ++i) {
        const RandomStream stream(kKey.derive(first_row + i / width));
        ASSERT_EQ(one[i] != 0.0, stream.word(i % width) >= threshold) << i;
        if (one[i] == 0.0) continue;
        ASSERT_NEAR(one[i], 1.5 / 0.7, 1.5 / 0.7 * (dtype == DType::bf16 ? 0x1p-8 : 0x1p-22));
        ++kept;
      }
      const double n = static_cast<double>(one.size());
      EXPECT_NEAR(static_cast<double>(kept) / n, 0.7, 5 * std::sqrt(0.21 / n));
    }
  }
  set_thread_count(threads);
}

// Some rows, tokens and columns of a larger tensor lose what they lose there.
TEST(Dropout, PartsOfALargerTensorDropAsItDoes) {
  constexpr int64_t kRows = 3, kTokens = 7, kMiddle = 2, kColumns = 11;
  const Tensor whole = Tensor::full({kRows, kTokens, kMiddle, kColumns}, 1.0);
  const std::vector<double> all = dropout(whole, 0.4, kKey, {.first_row = 5}).to_vector<double>();
  const auto at = [&](int64_t row, int64_t token, int64_t middle, int64_t column) {
    return all[static_cast<size_t>(((row * kTokens + token) * kMiddle + middle) * kColumns +
                                   column)];
  };
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::vector<int64_t> tokens{1, 2, 6};
    const Tensor part = Tensor::full({2, 3, kMiddle, 4}, 1.0, dtype);
    const std::vector<double> own =
        dropout(part, 0.4, kKey,
                {.first_row = 6, .tokens = tokens, .first_column = 5, .columns = kColumns})
            .to_vector<double>();
    size_t next = 0;
    for (int64_t row = 1; row < kRows; ++row) {
      for (const int64_t token : tokens) {
        for (int64_t middle = 0; middle < kMiddle; ++middle) {
          for (int64_t column = 5; column < 9; ++column) {
            EXPECT_NEAR(own[next++], at(row, token, middle, column), 1e-6);
          }
        }
      }
    }
  }
  EXPECT_THROW(dropout(Tensor::full({2, 3, 4}, 1.0), 0.4, kKey, {.tokens = {0, 1}}), Error);
}

}  // namespace
}  // namespace heed::kernels
