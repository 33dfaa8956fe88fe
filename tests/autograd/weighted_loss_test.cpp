#include "autograd/ops/weighted_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/ops/elementwise.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::integers;
using testing::normal;

const Tensor kWeights = Tensor::from(std::vector<double>{0.5, 2.0, 0.0, 1.5, 3.0}, {5});

TEST(WeightedCrossEntropy, Gradients) {
  for (const Shape& shape : {Shape{1, 5}, Shape{7, 5}, Shape{2, 3, 5}}) {
    const Tensor targets =
        shape.rank() == 2 ? integers({shape[0]}, 5, "t") : integers({2, 3}, 5, "t");
    for (const Reduction r : {Reduction::mean, Reduction::sum, Reduction::none}) {
      EXPECT_EQ(gradcheck(
                    [&](const std::vector<Tensor>& in) {
                      return weighted_cross_entropy(in[0], targets, kWeights, {.reduction = r});
                    },
                    {normal(shape, "x")}),
                "")
          << shape.to_string();
    }
  }
}

TEST(WeightedCrossEntropy, EqualsItsFormulaAndIgnores) {
  const Tensor x = normal({4, 5}, "x");
  const Tensor targets = Tensor::from(std::vector<int64_t>{1, -100, 4, 2}, {4});
  const std::vector<double> v = x.to_vector<double>(), w = kWeights.to_vector<double>();
  double total = 0.0, weight = 0.0;
  for (const auto& [row, target] : {std::pair<size_t, size_t>{0, 1}, {2, 4}, {3, 2}}) {
    double sum = 0.0;
    for (size_t c = 0; c < 5; ++c) sum += std::exp(v[5 * row + c]);
    total += w[target] * (std::log(sum) - v[5 * row + target]);
    weight += w[target];
  }
  EXPECT_NEAR(weighted_cross_entropy(x, targets, kWeights).item(), total / weight, 1e-12);
  const Tensor ones = Tensor::full({5}, 1.0);
  EXPECT_NEAR(weighted_cross_entropy(x, targets, ones).item(), cross_entropy(x, targets).item(),
              1e-12);
  const Tensor weightless = Tensor::from(std::vector<int64_t>{2, -100}, {2});
  EXPECT_EQ(weighted_cross_entropy(normal({2, 5}, "y"), weightless, kWeights).item(), 0.0);
}

TEST(WeightedCrossEntropy, RefusesWhatDoesNotFit) {
  const Tensor x = normal({2, 5}, "x"), targets = integers({2}, 5, "t");
  EXPECT_THROW(weighted_cross_entropy(x, targets, Tensor::zeros({4})), Error);
  EXPECT_THROW(weighted_cross_entropy(x, targets, kWeights, {.smoothing = 0.1}), Error);
  EXPECT_THROW(weighted_cross_entropy(x, targets, Tensor::full({5}, -1.0)), Error);
}

TEST(DiceLoss, Gradients) {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 7}, Shape{2, 3, 5, 1}}) {
    const Tensor p = sigmoid(normal(shape, "p")), t = sigmoid(normal(shape, "t"));
    for (const Reduction r : {Reduction::mean, Reduction::sum, Reduction::none}) {
      EXPECT_EQ(
          gradcheck([&](const std::vector<Tensor>& in) { return dice_loss(in[0], in[1], 0.7, r); },
                    {p, t}),
          "");
    }
  }
}

TEST(DiceLoss, IsZeroForEqualRegionsAndEmptyOnes) {
  const Tensor region = Tensor::from(std::vector<double>{1, 0, 1, 1, 0, 0}, {2, 3});
  EXPECT_NEAR(dice_loss(region, region).item(), 0.0, 1e-15);
  EXPECT_EQ(dice_loss(Tensor::zeros({2, 3}), Tensor::zeros({2, 3})).item(), 0.0);
  // One row: overlap 1, sizes 2 and 1.
  const Tensor p = Tensor::from(std::vector<double>{1, 1, 0}, {1, 3});
  const Tensor t = Tensor::from(std::vector<double>{1, 0, 0}, {1, 3});
  EXPECT_NEAR(dice_loss(p, t, 0.0).item(), 1.0 - 2.0 / 3.0, 1e-15);
}

}  // namespace
}  // namespace heed
