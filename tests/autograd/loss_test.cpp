#include "autograd/ops/loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/gradcheck.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::integers;
using testing::normal;

std::string message_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Softmax, GradientsAlongEveryDimension) {
  for (const Shape& shape : {Shape{3, 4, 5}, Shape{2, 1, 19}, Shape{17, 2, 1}}) {
    for (int dim = -3; dim < 3; ++dim) {
      EXPECT_EQ(gradcheck([dim](const std::vector<Tensor>& in) { return softmax(in[0], dim); },
                          {normal(shape, "x")}),
                "");
      EXPECT_EQ(gradcheck([dim](const std::vector<Tensor>& in) { return log_softmax(in[0], dim); },
                          {normal(shape, "x")}),
                "");
    }
  }
}

struct LossCase {
  int64_t classes;
  double smoothing;
};

class CrossEntropyOf : public ::testing::TestWithParam<LossCase> {};
INSTANTIATE_TEST_SUITE_P(Odd, CrossEntropyOf,
                         ::testing::Values(LossCase{1, 0}, LossCase{2, 0}, LossCase{7, 0.1},
                                           LossCase{33, 0}, LossCase{41, 0.3}));

Tensor some_ignored(const Shape& shape, int64_t classes, int64_t ignore) {
  const Tensor targets = integers(shape, classes, "t");
  targets.data<int64_t>()[1] = ignore;
  return targets;
}

TEST_P(CrossEntropyOf, Gradients) {
  const auto [classes, smoothing] = GetParam();
  const Tensor targets = some_ignored({2, 3}, classes, -100);
  const CrossEntropyOptions options{.smoothing = smoothing};
  EXPECT_EQ(
      gradcheck(
          [&](const std::vector<Tensor>& in) { return cross_entropy(in[0], targets, options); },
          {normal({2, 3, classes}, "x")}),
      "");
}

TEST_P(CrossEntropyOf, LinearGradients) {
  const auto [classes, smoothing] = GetParam();
  const Tensor targets = some_ignored({2, 3}, classes, 9999);
  const CrossEntropyOptions options{.ignore_index = 9999, .smoothing = smoothing};
  EXPECT_EQ(gradcheck(
                [&](const std::vector<Tensor>& in) {
                  return linear_cross_entropy(in[0], in[1], in[2], targets, options);
                },
                {normal({2, 3, 5}, "x"), normal({classes, 5}, "w"), normal({classes}, "b")}),
            "");
}

TEST_P(CrossEntropyOf, LinearEqualsProductThenLoss) {
  const auto [classes, smoothing] = GetParam();
  const Tensor targets = some_ignored({2, 3}, classes, -100);
  const Tensor x = normal({2, 3, 5}, "x"), w = normal({classes, 5}, "w");
  const Tensor logits = Tensor::zeros({2, 3, classes}, DType::f64);
  for (int64_t row = 0; row < 6; ++row) {
    for (int64_t v = 0; v < classes; ++v) {
      double& sum = logits.data<double>()[row * classes + v];
      for (int64_t c = 0; c < 5; ++c) {
        sum += x.data<double>()[row * 5 + c] * w.data<double>()[v * 5 + c];
      }
    }
  }
  const CrossEntropyOptions options{.smoothing = smoothing};
  const double expected = cross_entropy(logits, targets, options).item();
  EXPECT_NEAR(linear_cross_entropy(x, w, {}, targets, options).item(), expected, 1e-12);
  const Tensor rows = linear_cross_entropy_rows(x, w, {}, targets, options);
  EXPECT_EQ(rows.shape(), targets.shape());
  const std::vector<double> losses = rows.to_vector<double>();
  EXPECT_EQ(losses[1], 0.0);
  double sum = 0;
  for (const double loss : losses) sum += loss;
  EXPECT_NEAR(sum / 5, expected, 1e-12);
}

TEST(CrossEntropy, UniformLogitsCostLogV) {
  const Tensor logits = Tensor::full({4, 10}, 3.0, DType::f64);
  EXPECT_NEAR(cross_entropy(logits, integers({4}, 10, "t")).item(), std::log(10.0), 1e-14);
}

TEST(CrossEntropy, AllIgnoredIsZeroWithZeroGradient) {
  Tensor x = normal({2, 3}, "x"), w = normal({4, 3}, "w");
  require_grad(x);
  require_grad(w);
  const Tensor targets = Tensor::from<int64_t>({-100, -100}, {2});
  const Tensor loss = linear_cross_entropy(x, w, {}, targets);
  EXPECT_EQ(loss.item(), 0.0);
  backward(loss);
  EXPECT_EQ(grad(x).to_vector<double>(), std::vector<double>(6, 0.0));
  EXPECT_EQ(grad(w).to_vector<double>(), std::vector<double>(12, 0.0));
  Tensor logits = normal({2, 3}, "x");
  require_grad(logits);
  backward(cross_entropy(logits, targets));
  EXPECT_EQ(grad(logits).to_vector<double>(), std::vector<double>(6, 0.0));
}

TEST(CrossEntropy, BadTargetIsNamedWithItsPlace) {
  const Tensor targets = Tensor::from<int64_t>({0, 1, 2, 3, 70, 1}, {2, 3});
  const std::string message = message_of([&] { cross_entropy(normal({2, 3, 65}, "x"), targets); });
  EXPECT_THAT(message, ::testing::HasSubstr("target 70 at position [1, 1]"));
  EXPECT_THAT(message, ::testing::HasSubstr("[0, 65)"));
  EXPECT_THROW(linear_cross_entropy(normal({2, 3, 4}, "x"), normal({65, 4}, "w"), {}, targets),
               Error);
  EXPECT_THROW(cross_entropy(normal({2, 3, 65}, "x"), normal({2, 3}, "t")), Error);
  EXPECT_THROW(cross_entropy(normal({2, 3, 65}, "x"), integers({3, 2}, 4, "t")), Error);
  EXPECT_THROW(cross_entropy(normal({2, 3}, "x"), integers({2}, 3, "t"), {.smoothing = 1.0}),
               Error);
}

// The seed scales what the forward pass computed; a kept tape may be walked again with another.
TEST(LinearCrossEntropy, SeedScalesAndRepeatedWalksAdd) {
  const Tensor targets = integers({6}, 7, "t");
  const auto run = [&](const std::vector<double>& seeds) {
    Tensor x = normal({6, 3}, "x"), w = normal({7, 3}, "w");
    require_grad(x);
    require_grad(w);
    const Tensor loss = linear_cross_entropy(x, w, {}, targets);
    for (const double seed : seeds) backward(loss, Tensor::scalar(seed), true);
    auto g = grad(w).to_vector<double>();
    const auto gx = grad(x).to_vector<double>();
    g.insert(g.end(), gx.begin(), gx.end());
    return g;
  };
  const std::vector<double> one = run({1}), scaled = run({0.25}), twice = run({0.25, 2}),
                            zero = run({0, 1});
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_DOUBLE_EQ(scaled[i], 0.25 * one[i]);
    EXPECT_NEAR(twice[i], 2.25 * one[i], 1e-15 + 4e-16 * std::abs(one[i]));
    EXPECT_EQ(zero[i], one[i]);
  }
}

}  // namespace
}  // namespace heed
