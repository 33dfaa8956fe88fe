#include "autograd/ops/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "autograd/gradcheck.h"
#include "autograd/ops/elementwise.h"
#include "core/parallel.h"
#include "kernels/random/sampling.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;

const RandomKey kKey{.seed = 3, .purpose = hash_name("sampling")};

TEST(Sampling, Gradients) {
  for (const Shape& shape : {Shape{1}, Shape{5, 7}, Shape{2, 3, 17}, Shape{4, 1, 1, 3}}) {
    const Tensor x = normal(shape, "x");
    EXPECT_EQ(
        gradcheck(
            [](const std::vector<Tensor>& in) { return gumbel_softmax(in[0], 0.7, false, kKey); },
            {x}),
        "");
    EXPECT_EQ(
        gradcheck([](const std::vector<Tensor>& in) { return drop_path(in[0], 0.4, kKey); }, {x}),
        "");
    // what is seen is 2 x, what is learned from is 2 x: the two agree where both are one function
    EXPECT_EQ(gradcheck(
                  [](const std::vector<Tensor>& in) {
                    const Tensor y = in[0] * 2.0;
                    return straight_through(y, y);
                  },
                  {x}),
              "");
  }
}

TEST(StraightThrough, PassesTheGradientByTheValue) {
  Tensor value = Tensor::from<float>({1, 0}, {2}), soft = Tensor::from<double>({0.75, 0.25}, {2});
  require_grad(value);
  require_grad(soft);
  const Tensor y = straight_through(value, soft);
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{1, 0}));
  backward(y, Tensor::from<float>({3, 5}, {2}));
  EXPECT_FALSE(grad(value).defined());
  EXPECT_EQ(grad(soft).to_vector<double>(), (std::vector<double>{3, 5}));
  EXPECT_THROW(straight_through(value, Tensor::zeros({3})), Error);
}

TEST(GumbelSoftmax, HardRowsHaveTheSoftGradient) {
  const auto run = [](bool hard) {
    Tensor x = normal({5, 7}, "x");
    require_grad(x);
    const Tensor y = gumbel_softmax(x, 0.5, hard, kKey);
    backward(y, normal({5, 7}, "dy"));
    return std::pair{y.to_vector<double>(), grad(x).to_vector<double>()};
  };
  const auto [soft, soft_gradient] = run(false);
  const auto [hard, hard_gradient] = run(true);
  EXPECT_EQ(soft_gradient, hard_gradient);
  for (size_t row = 0; row < 5; ++row) {
    const auto first = soft.begin() + static_cast<std::ptrdiff_t>(7 * row);
    const size_t at = static_cast<size_t>(std::max_element(first, first + 7) - first);
    for (size_t i = 0; i < 7; ++i) EXPECT_EQ(hard[7 * row + i], i == at ? 1.0 : 0.0);
  }
}

TEST(DropPath, DropsWholeSamplesAtTheRate) {
  const int64_t samples = 20000;
  const Tensor y = drop_path(Tensor::full({samples, 2}, 1), 0.25, kKey);
  int64_t dropped = 0;
  for (int64_t b = 0; b < samples; ++b) {
    const float first = y.data<float>()[2 * b];
    EXPECT_EQ(first, y.data<float>()[2 * b + 1]);
    EXPECT_TRUE(first == 0.f || first == float(1 / 0.75));
    dropped += first == 0.f;
  }
  // five standard deviations of the binomial
  EXPECT_NEAR(double(dropped), 0.25 * samples, 5 * std::sqrt(samples * 0.25 * 0.75));
  const Tensor few = drop_path(Tensor::full({10, 2}, 1), 0.25, kKey);
  for (int64_t i = 0; i < 20; ++i) EXPECT_EQ(few.data<float>()[i], y.data<float>()[i]);
  EXPECT_THROW(drop_path(y, 1.0, kKey), Error);
}

TEST(Categorical, FollowsTheDistribution) {
  const std::vector<double> p = {0.5, 0.3, 0.15, 0.05};
  const int64_t draws = 40000;
  const Tensor logits = Tensor::empty({draws, 5}, DType::f32);
  for (int64_t i = 0; i < draws; ++i) {
    for (int64_t c = 0; c < 4; ++c) {
      logits.data<float>()[5 * i + c] = float(std::log(p[size_t(c)]) + 100);
    }
    logits.data<float>()[5 * i + 4] = -std::numeric_limits<float>::infinity();
  }
  const int before = thread_count();
  std::vector<std::vector<int64_t>> results;
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    const Tensor ids = kernels::categorical(logits, kKey);
    EXPECT_EQ(ids.shape(), (Shape{draws}));
    results.push_back(ids.to_vector<int64_t>());
  }
  set_thread_count(before);
  EXPECT_EQ(results[0], results[1]);
  std::vector<int64_t> counts(5);
  for (const int64_t id : results[0]) ++counts[size_t(id)];
  EXPECT_EQ(counts[4], 0);
  for (size_t c = 0; c < 4; ++c) {
    const double expected = p[c] * double(draws);
    EXPECT_NEAR(double(counts[c]), expected, 5 * std::sqrt(expected * (1 - p[c]))) << c;
  }
  for (const int64_t id : kernels::categorical(logits, kKey, 0).to_vector<int64_t>()) {
    ASSERT_EQ(id, 0);
  }
}

TEST(Categorical, WithoutReplacementFollowsSuccessiveDraws) {
  const std::vector<double> p = {0.6, 0.3, 0.1};
  const int64_t draws = 30000;
  const Tensor logits = Tensor::empty({draws, 3}, DType::f32);
  for (int64_t i = 0; i < 3 * draws; ++i)
    logits.data<float>()[i] = float(std::log(p[size_t(i % 3)]));
  const auto ids = kernels::categorical_without_replacement(logits, 2, kKey).to_vector<int64_t>();
  std::map<std::pair<int64_t, int64_t>, int64_t> counts;
  for (size_t i = 0; i < ids.size(); i += 2) ++counts[{ids[i], ids[i + 1]}];
  for (int64_t a = 0; a < 3; ++a) {
    EXPECT_EQ(counts.count({a, a}), 0u);
    for (int64_t b = 0; b < 3; ++b) {
      if (a == b) continue;
      const double probability = p[size_t(a)] * p[size_t(b)] / (1 - p[size_t(a)]);
      EXPECT_NEAR(double((counts[{a, b}])), probability * draws,
                  5 * std::sqrt(probability * (1 - probability) * draws));
    }
  }
  EXPECT_THROW(kernels::categorical_without_replacement(logits, 4, kKey), Error);
}

TEST(Permutation, EveryOrderIsAsLikely) {
  std::map<std::vector<int64_t>, int> counts;
  const int draws = 12000;
  for (int i = 0; i < draws; ++i) {
    ++counts[kernels::random_permutation(4, kKey.derive(uint64_t(i))).to_vector<int64_t>()];
  }
  EXPECT_EQ(counts.size(), 24u);
  for (const auto& [order, count] : counts) {
    EXPECT_NEAR(count, draws / 24.0, 5 * std::sqrt(draws / 24.0));
  }
}

TEST(Permutation, SubsetIsItsBeginning) {
  for (const int64_t n : {1, 2, 17, 1000}) {
    auto order = kernels::random_permutation(n, kKey).to_vector<int64_t>();
    for (const int64_t k : {int64_t{0}, n / 3, n}) {
      const auto subset = kernels::random_subset(n, k, kKey).to_vector<int64_t>();
      EXPECT_TRUE(std::equal(subset.begin(), subset.end(), order.begin())) << n << " " << k;
    }
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(order[size_t(i)], i);
  }
  EXPECT_EQ(kernels::random_permutation(0, kKey).numel(), 0);
  EXPECT_THROW(kernels::random_subset(3, 4, kKey), Error);
}

}  // namespace
}  // namespace heed
