#include "autograd/ops/fft.h"

#include <cmath>
#include <complex>
#include <numbers>

#include "core/parallel.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;
using Complex = std::complex<double>;

Shape paired(Shape shape) {
  shape.push_back(2);
  return shape;
}

// The definition along one dimension of a row-major array, O(n^2), in f64.
std::vector<Complex> slow(const std::vector<Complex>& x, const Shape& shape, int dim, double sign) {
  int64_t inner = 1;
  for (int d = dim + 1; d < shape.rank(); ++d) inner *= shape[d];
  const int64_t n = shape[dim], lines = n == 0 ? 0 : static_cast<int64_t>(x.size()) / n;
  std::vector<Complex> y(x.size());
  for (int64_t line = 0; line < lines; ++line) {
    const int64_t start = line / inner * n * inner + line % inner;
    for (int64_t k = 0; k < n; ++k) {
      Complex total = 0.0;
      for (int64_t j = 0; j < n; ++j) {
        const double angle =
            sign * 2.0 * std::numbers::pi * static_cast<double>(j * k % n) / static_cast<double>(n);
        total += x[static_cast<size_t>(start + j * inner)] * std::polar(1.0, angle);
      }
      y[static_cast<size_t>(start + k * inner)] = total;
    }
  }
  return y;
}

std::vector<Complex> complex_values(const Tensor& x) {
  const std::vector<double> parts = x.to_vector<double>();
  std::vector<Complex> values(parts.size() / 2);
  for (size_t i = 0; i < values.size(); ++i) values[i] = {parts[2 * i], parts[2 * i + 1]};
  return values;
}

// Largest difference over the largest value.
double distance(const std::vector<Complex>& got, const std::vector<Complex>& expected) {
  EXPECT_EQ(got.size(), expected.size());
  double difference = 0.0, scale = 1e-300;
  for (size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    difference = std::max(difference, std::abs(got[i] - expected[i]));
    scale = std::max(scale, std::abs(expected[i]));
  }
  return difference / scale;
}

// An FFT's error grows as log n times the rounding unit; Bluestein's is that of three of them.
double tolerance(int64_t n, DType dtype) {
  const double unit = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
  return 16.0 * (2.0 + std::log2(static_cast<double>(n))) * unit;
}

Tensor narrow(const Tensor& x) {
  const std::vector<double> values = x.to_vector<double>();
  return Tensor::from(std::vector<float>(values.begin(), values.end()), x.shape());
}

const int64_t kLengths[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  11, 12,  15,  16,  17,  20, 24,
                            25, 29, 31, 32, 37, 49, 60, 64, 74, 97, 101, 128, 202, 210, 331};

TEST(Fft, EqualsItsDefinitionAtEveryLength) {
  for (const int64_t n : kLengths) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      // Lines beside each other (21 and 70: more than a group of either dtype, no multiple; 35: a
      // whole group of neighbours) and one after another.
      for (const Shape& shape : {Shape{3, n, 7}, Shape{2, n, 35}, Shape{19, n, 1}}) {
        Tensor x = uniform(paired(shape));
        if (dtype == DType::f32) x = narrow(x);
        const auto values = complex_values(x);
        EXPECT_LE(distance(complex_values(fftn(x, {1})), slow(values, shape, 1, -1.0)),
                  tolerance(n, dtype))
            << n;
        auto back = slow(values, shape, 1, 1.0);
        for (Complex& v : back) v /= static_cast<double>(n);
        EXPECT_LE(distance(complex_values(ifftn(x, {-2})), back), tolerance(n, dtype)) << n;
      }
    }
  }
}

TEST(Fft, RealOnesAreTheHalfOfIt) {
  for (const int64_t n : kLengths) {
    for (const DType dtype : {DType::f64, DType::f32}) {
      for (const Shape& shape : {Shape{2, n, 5}, Shape{2, n, 35}, Shape{19, n, 1}}) {
        Tensor x = uniform(shape);
        if (dtype == DType::f32) x = narrow(x);
        const std::vector<double> reals = x.to_vector<double>();
        const auto whole = slow(std::vector<Complex>(reals.begin(), reals.end()), shape, 1, -1.0);
        std::vector<Complex> half;
        for (int64_t b = 0; b < shape[0]; ++b) {
          for (int64_t i = 0; i < (n / 2 + 1) * shape[2]; ++i) {
            half.push_back(whole[static_cast<size_t>(b * n * shape[2] + i)]);
          }
        }
        const Tensor y = rfft(x, 1);
        ASSERT_EQ(y.shape(), (Shape{shape[0], n / 2 + 1, shape[2], 2}));
        EXPECT_LE(distance(complex_values(y), half), tolerance(n, dtype)) << n;
        const std::vector<double> back = irfft(y, n, 1).to_vector<double>();
        EXPECT_LE(distance(std::vector<Complex>(back.begin(), back.end()),
                           std::vector<Complex>(reals.begin(), reals.end())),
                  2.0 * tolerance(n, dtype))
            << n;
      }
    }
  }
}

TEST(Fft, SeveralAxesAreOneAfterAnother) {
  const Shape shape{3, 5, 2, 6};
  const Tensor x = strided(paired(shape));
  auto expected = complex_values(x);
  for (const int dim : {0, 1, 3}) expected = slow(expected, shape, dim, -1.0);
  EXPECT_LE(distance(complex_values(fftn(x, {0, -1, 1})), expected), tolerance(90, DType::f64));
  const Tensor real = strided(shape);
  const Tensor there = rfftn(real, {0, 3, 1}, FftNorm::ortho);
  ASSERT_EQ(there.shape(), (Shape{3, 3, 2, 6, 2}));
  const std::vector<double> back = irfftn(there, {0, 3, 1}, 5, FftNorm::ortho).to_vector<double>(),
                            were = real.to_vector<double>();
  EXPECT_LE(distance(std::vector<Complex>(back.begin(), back.end()),
                     std::vector<Complex>(were.begin(), were.end())),
            2.0 * tolerance(90, DType::f64));
}

TEST(Fft, NormsShareTheFactor) {
  const Tensor x = uniform({6, 5, 2});
  const auto plain = complex_values(fftn(x, {0, 1}));
  const auto scaled = [&](double factor) {
    auto y = plain;
    for (Complex& v : y) v *= factor;
    return y;
  };
  const double limit = tolerance(30, DType::f64);
  EXPECT_LE(distance(complex_values(fftn(x, {0, 1}, FftNorm::ortho)), scaled(1 / std::sqrt(30.0))),
            limit);
  EXPECT_LE(distance(complex_values(fftn(x, {0, 1}, FftNorm::forward)), scaled(1 / 30.0)), limit);
  for (const FftNorm norm : {FftNorm::backward, FftNorm::ortho, FftNorm::forward}) {
    EXPECT_LE(
        distance(complex_values(ifftn(fftn(x, {0, 1}, norm), {0, 1}, norm)), complex_values(x)),
        2.0 * limit);
  }
}

TEST(Fft, Gradients) {
  const auto norms = {FftNorm::backward, FftNorm::ortho, FftNorm::forward};
  for (const FftNorm norm : norms) {
    for (const std::vector<int>& dims : {std::vector<int>{1}, {0, 1}, {-1, 0}}) {
      for (const int64_t n : {1, 4, 5}) {
        const Tensor x = strided({3, n, 2}), real = uniform({3, n});
        expect_gradients([=](const Inputs& in) { return fftn(in[0], dims, norm); }, {x});
        expect_gradients([=](const Inputs& in) { return ifftn(in[0], dims, norm); }, {x});
        expect_gradients([=](const Inputs& in) { return rfftn(in[0], dims, norm); }, {real});
        const int64_t last = real.size(dims.back());
        const Tensor half = uniform(rfftn(real, dims).shape());
        expect_gradients([=](const Inputs& in) { return irfftn(in[0], dims, last, norm); }, {half});
      }
    }
    for (const int64_t n : {6, 37, 74}) {
      expect_gradients([=](const Inputs& in) { return rfft(in[0], -1, norm); }, {uniform({2, n})});
      expect_gradients([=](const Inputs& in) { return irfft(in[0], n, 0, norm); },
                       {uniform({n / 2 + 1, 2})});
    }
  }
  expect_gradients([](const Inputs& in) { return complex_mul(in[0], in[1]); },
                   {uniform({3, 4, 2}), uniform({4, 2})});
}

TEST(Fft, ProductsOfSpectraAreConvolutions) {
  const int64_t n = 12;
  const Tensor x = uniform({n}), filter = uniform({n}, -1.0, 1.0, 2);
  const std::vector<double> got = irfft(complex_mul(rfft(x), rfft(filter)), n).to_vector<double>();
  const std::vector<double> a = x.to_vector<double>(), b = filter.to_vector<double>();
  for (int64_t i = 0; i < n; ++i) {
    double expected = 0.0;
    for (int64_t j = 0; j < n; ++j) {
      expected += a[static_cast<size_t>(j)] * b[static_cast<size_t>((i - j + n) % n)];
    }
    EXPECT_NEAR(got[static_cast<size_t>(i)], expected, 1e-13);
  }
}

TEST(Fft, DoesNotDependOnThreads) {
  const Tensor x = narrow(uniform({50, 210}));
  const int threads = thread_count();
  set_thread_count(1);
  const std::vector<float> one = rfft(x).to_vector<float>();
  set_thread_count(3);
  EXPECT_EQ(rfft(x).to_vector<float>(), one);
  set_thread_count(threads);
}

TEST(Fft, SaysWhatCannotBe) {
  EXPECT_THROW(fftn(uniform({4, 3}), {0}), Error);
  EXPECT_THROW(fftn(uniform({4, 2}), {}), Error);
  EXPECT_THROW(fftn(uniform({4, 2}), {1}), Error);
  EXPECT_THROW(rfftn(uniform({4, 3}), {1, -1}), Error);
  EXPECT_THROW(rfftn(uniform({4, 0}), {1}), Error);
  EXPECT_THROW(irfft(uniform({4, 2}), 9, 0), Error);
  EXPECT_THROW(complex_mul(uniform({4, 2}), uniform({4, 3})), Error);
  EXPECT_EQ(rfft(Tensor::zeros({3, 4}, DType::bf16)).dtype(), DType::f32);
}

}  // namespace
}  // namespace heed
