#include "kernels/conv/conv.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "core/random.h"
#include "kernels/elementwise/accumulate.h"

namespace heed {
namespace {

using kernels::ConvGeometry;

Tensor random_tensor(const Shape& shape, DType dtype, uint64_t purpose) {
  const RandomStream stream(RandomKey{3, purpose, 0});
  const Tensor x = Tensor::empty(shape);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<float>()[i] = 2 * stream.uniform(static_cast<uint64_t>(i)) - 1;
  return kernels::contiguous_as(kernels::contiguous_as(x, DType::bf16),
                                dtype);  // exact in every dtype
}

struct Case {
  const char* name;
  Shape x, weight;
  ConvGeometry g;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}, {{1, 1}, {0, 0}, {1, 1}}},
      {"3x3", {2, 7, 5, 13}, {17, 3, 3, 13}, {{1, 1}, {1, 1}, {1, 1}}},
      {"3x3 of 16", {9, 8, 8, 16}, {32, 3, 3, 16}, {{1, 1}, {1, 1}, {1, 1}}},
      {"stride and uneven padding", {3, 11, 7, 3}, {5, 3, 2, 3}, {{2, 3}, {2, 0}, {1, 1}}},
      {"dilated", {2, 13, 13, 4}, {6, 3, 3, 4}, {{1, 1}, {2, 2}, {2, 2}}},
      {"patches", {2, 16, 16, 3}, {24, 4, 4, 3}, {{4, 4}, {0, 0}, {1, 1}}},
      {"groups", {2, 6, 6, 12}, {8, 3, 3, 3}, {{1, 1}, {1, 1}, {1, 1}, 4}},
      {"depthwise", {2, 9, 8, 19}, {19, 3, 3, 1}, {{1, 1}, {1, 1}, {1, 1}, 19}},
      {"depthwise, stride 2", {2, 9, 8, 16}, {16, 5, 5, 1}, {{2, 2}, {2, 2}, {1, 1}, 16}},
      {"depthwise, dilated", {2, 20, 22, 33}, {33, 7, 7, 1}, {{1, 1}, {9, 9}, {3, 3}, 33}},
      {"depthwise, 7x7", {3, 10, 9, 35}, {35, 7, 7, 1}, {{1, 1}, {3, 3}, {1, 1}, 35}},
      {"depthwise, uneven", {2, 23, 11, 17}, {17, 3, 5, 1}, {{2, 1}, {0, 3}, {2, 3}, 17}},
      {"depthwise, wide", {2, 9, 30, 5}, {5, 1, 11, 1}, {{1, 1}, {0, 4}, {1, 2}, 5}},
      {"depthwise, far padding", {1, 5, 4, 3}, {3, 2, 2, 1}, {{1, 1}, {5, 3}, {2, 2}, 3}},
      {"1-D", {3, 31, 5}, {7, 4, 5}, {{1}, {3}, {1}}},
      {"1-D depthwise", {3, 31, 20}, {20, 3, 1}, {{1}, {2}, {2}, 20}},
      {"3-D", {2, 5, 6, 4, 3}, {8, 3, 3, 2, 3}, {{2, 1, 2}, {1, 1, 0}, {1, 1, 1}}},
      {"3-D patches", {1, 2, 8, 8, 4}, {16, 1, 2, 2, 4}, {{1, 2, 2}, {0, 0, 0}, {1, 1, 1}}},
  };
  return all;
}

// Sums of n products of numbers below 1: n * 2^-24 each in f32, and the result's own rounding.
void expect_near(const Tensor& got, const Tensor& want, int64_t n, const std::string& what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const std::vector<double> g = got.to_vector<double>(), w = want.to_vector<double>();
  const double sum =
      std::ldexp(static_cast<double>(n), -24) * std::sqrt(static_cast<double>(n)) * 4;
  const double unit = got.dtype() == DType::bf16 ? std::ldexp(1.0, -8) : std::ldexp(1.0, -22);
  for (size_t i = 0; i < g.size(); ++i) {
    ASSERT_NEAR(g[i], w[i], sum + unit * std::abs(w[i]) + 1e-6) << what << " element " << i;
  }
}

TEST(Conv, EveryPassEqualsTheDefinition) {
  for (const Case& c : cases()) {
    const Shape y_shape = kernels::conv_output_shape(c.x, c.weight, c.g);
    const Tensor bias64 = random_tensor({c.weight[0]}, DType::f64, 3);
    const Tensor x64 = random_tensor(c.x, DType::f64, 1),
                 w64 = random_tensor(c.weight, DType::f64, 2);
    const Tensor dy64 = random_tensor(y_shape, DType::f64, 4);
    const Tensor y64 = kernels::conv(x64, w64, bias64, c.g);
    const Tensor dx64 = kernels::conv_input_gradient(dy64, w64, c.x, c.g);
    const Tensor dw64 = kernels::conv_weight_gradient(dy64, x64, c.weight, c.g);
    const int64_t taps = c.weight.numel() / c.weight[0],
                  uses = c.x[0] * y_shape.numel() / y_shape[-1];
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const std::string what = fmt::format("{} {}", c.name, name_of(dtype));
      const Tensor x = random_tensor(c.x, dtype, 1), w = random_tensor(c.weight, DType::f32, 2);
      const Tensor dy = random_tensor(y_shape, dtype, 4),
                   bias = random_tensor({c.weight[0]}, DType::f32, 3);
      expect_near(kernels::conv(x, w, bias, c.g), y64, taps, what + " forward");
      expect_near(kernels::conv_input_gradient(dy, w, c.x, c.g), dx64, taps * c.weight[0],
                  what + " input gradient");
      expect_near(kernels::conv_weight_gradient(dy, x, c.weight, c.g), dw64, uses,
                  what + " weight gradient");
    }
  }
}

TEST(Conv, ADefinitionWrittenTwiceAgrees) {
  // y[o] = sum_k w[k] x[o + k - 1] by hand: an edge, the middle, an edge
  const Tensor x = Tensor::from<double>({1, 2, 3}, {1, 3, 1}),
               w = Tensor::from<double>({10, 100, 1000}, {1, 3, 1});
  EXPECT_EQ(kernels::conv(x, w, {}, {{1}, {1}, {1}}).to_vector<double>(),
            (std::vector<double>{2100, 3210, 320}));
}

TEST(Conv, GradientsAreAdjoint) {
  // <dy, conv(x)> = <dx, x> = <dw, w> for every geometry: no second implementation needed
  for (const Case& c : cases()) {
    const Tensor x = random_tensor(c.x, DType::f64, 1), w = random_tensor(c.weight, DType::f64, 2);
    const Tensor y = kernels::conv(x, w, {}, c.g), dy = random_tensor(y.shape(), DType::f64, 5);
    const auto dot = [](const Tensor& a, const Tensor& b) {
      double sum = 0;
      for (int64_t i = 0; i < a.numel(); ++i) sum += a.data<double>()[i] * b.data<double>()[i];
      return sum;
    };
    const double want = dot(dy, y);
    EXPECT_NEAR(dot(kernels::conv_input_gradient(dy, w, c.x, c.g), x), want, 1e-9) << c.name;
    EXPECT_NEAR(dot(kernels::conv_weight_gradient(dy, x, c.weight, c.g), w), want, 1e-9) << c.name;
  }
}

TEST(Conv, IsBitwiseTheSameForEveryThreadCount) {
  const int threads = thread_count();
  const Shape shape{13, 16, 16, 32};
  const std::pair<Shape, ConvGeometry> kinds[] = {
      {{48, 3, 3, 32}, {{1, 1}, {1, 1}, {1, 1}}},
      {{32, 7, 7, 1}, {{1, 1}, {9, 9}, {3, 3}, 32}},  // our own kernels
  };
  for (const auto& [kind, dtype] : {std::pair{0, DType::f32}, {0, DType::bf16}, {1, DType::f32}}) {
    const auto& [weight, g] = kinds[kind];
    const Tensor x = random_tensor(shape, dtype, 1), w = random_tensor(weight, DType::f32, 2);
    const Tensor dy = random_tensor({13, 16, 16, weight[0]}, dtype, 3);
    std::vector<std::vector<float>> results[3];
    for (const int count : {1, 2, 3}) {
      set_thread_count(count);
      results[0].push_back(kernels::conv(x, w, {}, g).to_vector<float>());
      results[1].push_back(kernels::conv_input_gradient(dy, w, shape, g).to_vector<float>());
      results[2].push_back(kernels::conv_weight_gradient(dy, x, weight, g).to_vector<float>());
    }
    set_thread_count(threads);
    for (const auto& r : results) {
      EXPECT_EQ(r[0], r[1]);
      EXPECT_EQ(r[0], r[2]);
    }
  }
}

TEST(Conv, SaysWhatDoesNotFit) {
  const Tensor x = Tensor::zeros({1, 4, 4, 6});
  EXPECT_THROW(kernels::conv(x, Tensor::zeros({4, 3, 3, 5}), {}, {{1, 1}, {0, 0}, {1, 1}}), Error);
  EXPECT_THROW(kernels::conv(x, Tensor::zeros({4, 7, 7, 6}), {}, {{1, 1}, {1, 1}, {1, 1}}), Error);
  EXPECT_THROW(kernels::conv(x, Tensor::zeros({4, 3, 3, 3}), {}, {{1, 1}, {0, 0}, {1, 1}, 3}),
               Error);
  EXPECT_THROW(kernels::conv(x, Tensor::zeros({4, 3, 3, 6}), {}, {{1}, {0}, {1}}), Error);
}

}  // namespace
}  // namespace heed
