#include "autograd/ops/scan.h"

#include <cmath>
#include <limits>

#include "autograd/ops/reduce.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;
using Values = std::vector<double>;

const std::vector<std::pair<Shape, int>>& cases() {
  static const std::vector<std::pair<Shape, int>> all = {
      {{1}, 0}, {{7}, -1}, {{3, 5}, 0}, {{3, 5}, 1}, {{2, 5, 3}, 1}, {{2, 3, 67}, 1}, {{0, 3}, 1}};
  return all;
}

TEST(ScanOps, Gradients) {
  for (const auto& [shape, d] : cases()) {
    const int dim = d;
    for (const Tensor& x : {uniform(shape), strided(shape)}) {
      for (const bool reverse : {false, true}) {
        expect_gradients([=](const Inputs& in) { return cumsum(in[0], dim, reverse); }, {x});
        expect_gradients([=](const Inputs& in) { return cummax(in[0], dim, reverse).first; }, {x});
      }
      expect_gradients([=](const Inputs& in) { return logcumsumexp(in[0], dim); }, {x});
      for (const int64_t window : {1, 2, 3, 100}) {
        expect_gradients([=](const Inputs& in) { return moving_sum(in[0], dim, window); }, {x});
        expect_gradients([=](const Inputs& in) { return moving_mean(in[0], dim, window); }, {x});
      }
    }
  }
  EXPECT_THROW(cumsum(uniform({2}), 1), Error);
  EXPECT_THROW(moving_sum(uniform({2}), 0, 0), Error);
}

TEST(ScanOps, OfEqualsTheFirstMetHasTheGradient) {
  Tensor x = Tensor::from<double>({2, 1, 2, 3, 3}, {5});
  require_grad(x);
  const auto [y, index] = cummax(x, 0);
  EXPECT_EQ(y.to_vector<double>(), (Values{2, 2, 2, 3, 3}));
  EXPECT_EQ(index.to_vector<int64_t>(), (std::vector<int64_t>{0, 0, 0, 3, 3}));
  backward(sum(y));
  EXPECT_EQ(grad(x).to_vector<double>(), (Values{3, 0, 0, 2, 0}));
  EXPECT_EQ(cummax(x.detach(), 0, true).second.to_vector<int64_t>(),
            (std::vector<int64_t>{4, 4, 4, 4, 4}));
}

TEST(ScanOps, LogCumSumExpOfInfinities) {
  const double inf = std::numeric_limits<double>::infinity();
  Tensor x = Tensor::from<double>({-inf, -inf, 1, -inf, 1}, {5});
  require_grad(x);
  const Tensor y = logcumsumexp(x, 0);
  EXPECT_EQ(y.to_vector<double>(), (Values{-inf, -inf, 1, 1, 1 + std::log(2)}));
  backward(sum(y));
  const Values dx = grad(x).to_vector<double>();
  EXPECT_EQ(dx[0], 0);
  EXPECT_EQ(dx[1], 0);
  EXPECT_DOUBLE_EQ(dx[2], 2.5);
  EXPECT_EQ(dx[3], 0);
  EXPECT_DOUBLE_EQ(dx[4], 0.5);
}

}  // namespace
}  // namespace heed
