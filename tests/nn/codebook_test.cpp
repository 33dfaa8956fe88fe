#include "nn/layers/codebook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "nn/extra_losses.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using ::testing::ElementsAre;
using testing::random_tensor;

void set(const Tensor& tensor, const std::vector<double>& values) {
  kernels::copy(Tensor::from(values, tensor.shape()), tensor);
}

// 6 vectors around each of `centres`.
Tensor blobs(const std::vector<std::vector<double>>& centres, double noise) {
  const auto dim = static_cast<int64_t>(centres[0].size());
  const auto count = static_cast<int64_t>(6 * centres.size());
  const Tensor x = random_tensor({count, dim}, "blobs", DType::f64);
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t c = 0; c < dim; ++c) {
      double& value = x.data<double>()[i * dim + c];
      value =
          noise * value + centres[static_cast<size_t>(i) % centres.size()][static_cast<size_t>(c)];
    }
  }
  return x;
}

double distortion(Codebook& codebook, const Tensor& x) {
  const NoGrad none;
  codebook.eval();
  const double mean_square = mean(square(sub(x, codebook.forward(x)))).item();
  codebook.train();
  return mean_square;
}

TEST(Codebook, TakesTheNearestNotTheLargestProduct) {
  Codebook codebook({.dim = 2, .codes = 3, .lloyd = 0});
  codebook.eval();
  set(codebook.kmeans.centroids, {10, 0, 1, 0, 0, 1});
  const Tensor x = Tensor::from<double>({2, 0.1, 0.2, 0.9, 7, 0}, {3, 2});
  const auto [y, numbers] = codebook.quantise(x);
  EXPECT_THAT(numbers.to_vector<int64_t>(), ElementsAre(1, 2, 0));
  EXPECT_THAT(y.to_vector<double>(), ElementsAre(1, 0, 0, 1, 10, 0));
  EXPECT_EQ(codebook.decode(numbers).to_vector<double>(), y.to_vector<double>());
}

TEST(Codebook, TheGradientPassesStraightThroughAndTheLossCommits) {
  Codebook codebook({.dim = 2, .codes = 2, .lloyd = 0, .commitment = 0.5});
  codebook.eval();
  set(codebook.kmeans.centroids, {1, 1, -1, -1});
  Tensor x = Tensor::from<double>({0.5, 2, -3, 0}, {2, 2});
  require_grad(x);
  const Tensor weights = Tensor::from<double>({1, 2, 3, 4}, {2, 2});
  const ExtraLosses extra;
  backward(extra.added_to(sum(mul(codebook.forward(x), weights))));
  // d/dx of 0.5 mean (x - code)^2 is 0.25 (x - code)
  EXPECT_THAT(grad(x).to_vector<double>(),
              ElementsAre(1 + 0.25 * -0.5, 2 + 0.25 * 1, 3 + 0.25 * -2, 4 + 0.25 * 1));
}

TEST(Codebook, StartsByKMeansOfTheFirstBatch) {
  const std::vector<std::vector<double>> centres = {{5, 0}, {-5, 0}, {0, 5}, {0, -5}};
  const Tensor x = blobs(centres, 0.1);
  Codebook started({.dim = 2, .codes = 4, .restart_below = 0, .lloyd = 10});
  Codebook random({.dim = 2, .codes = 4, .restart_below = 0, .lloyd = 0});
  started.forward(x);
  EXPECT_EQ(started.kmeans.started.item(), 1.0);
  EXPECT_LT(distortion(started, x), 0.5 * distortion(random, x));
  // A fixed point of Lloyd's: a code is the mean of its vectors, and N is how many they are (the
  // step that followed leaves both in place).
  const NoGrad none;
  const Tensor all = views::reshape(x, {1, 1, 24, 2});
  const auto members = OnlineKMeans::members(started.kmeans.scores(all)).to_vector<int64_t>();
  const auto codes = started.kmeans.centroids.to_vector<double>();
  const auto counts = started.kmeans.counts.to_vector<double>();
  for (int64_t k = 0; k < 4; ++k) {
    double count = 0, first = 0;
    for (int64_t i = 0; i < 24; ++i) {
      if (members[static_cast<size_t>(i)] != k) continue;
      count += 1;
      first += x.data<double>()[2 * i];
    }
    ASSERT_GT(count, 0);
    EXPECT_NEAR(codes[static_cast<size_t>(2 * k)], first / count, 1e-4);
    EXPECT_NEAR(counts[static_cast<size_t>(k)], count, 1e-4);
  }
  const auto before = started.kmeans.centroids.to_vector<float>();
  started.forward(mul(x, 3.0));  // no second start
  EXPECT_LT(std::abs(started.kmeans.centroids.to_vector<float>()[0] - before[0]),
            0.1 * std::abs(before[0]) + 0.1);
}

TEST(Codebook, CodesThatNobodyUsesBeginAnewAsVectors) {
  Codebook codebook({.dim = 2, .codes = 3, .decay = 0.5, .restart_below = 0.3, .lloyd = 0});
  set(codebook.kmeans.centroids, {1, 1, 100, 100, -100, 100});
  set(codebook.kmeans.sums, {1, 1, 100, 100, -100, 100});
  const Tensor x = blobs({{1, 1}, {1.5, 1}}, 0.2);
  codebook.forward(x);  // N of the two: 0.5
  EXPECT_NEAR(codebook.kmeans.centroids.to_vector<double>()[2], 100, 1e-2);
  codebook.forward(x);  // 0.25: they begin anew
  std::set<std::pair<float, float>> vectors;
  const auto values = x.to_vector<float>();
  for (size_t i = 0; i < values.size(); i += 2) vectors.emplace(values[i], values[i + 1]);
  const auto sums = codebook.kmeans.sums.to_vector<float>();
  for (const size_t k : {1u, 2u}) {
    EXPECT_EQ(codebook.kmeans.counts.to_vector<float>()[k], 1.0f);
    EXPECT_TRUE(vectors.contains({sums[2 * k], sums[2 * k + 1]})) << k;
  }
}

TEST(Codebook, MovesInTrainingAloneAndOnceWhenRecomputed) {
  const Tensor x = blobs({{1, 0}, {0, 1}}, 0.3);
  const auto after = [&](bool recompute) {
    Codebook codebook({.dim = 2, .codes = 2, .decay = 0.5, .restart_below = 0, .lloyd = 3});
    Tensor in = Tensor::from(x.to_vector<double>(), x.shape());
    require_grad(in);
    const auto pass = [&](const std::vector<Tensor>& given) {
      return sum(square(codebook.forward(given[0])));
    };
    backward(recompute ? checkpoint(pass, {in}) : pass({in}));
    return std::pair(codebook.kmeans.centroids, grad(in));
  };
  const auto plain = after(false), again = after(true);
  EXPECT_TRUE(bitwise_equal(plain.first, again.first));
  EXPECT_TRUE(bitwise_equal(plain.second, again.second));
  Codebook still({.dim = 2, .codes = 2});
  still.eval();
  const Tensor before = kernels::cast(still.kmeans.centroids, DType::f64);
  still.forward(x);
  EXPECT_TRUE(bitwise_equal(kernels::cast(still.kmeans.centroids, DType::f64), before));
  EXPECT_EQ(still.kmeans.started.item(), 0.0);
}

}  // namespace
}  // namespace heed::nn
