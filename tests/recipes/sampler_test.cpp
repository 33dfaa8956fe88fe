#include "recipes/engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "core/error.h"

namespace heed::recipes {
namespace {

const std::vector<float> kLogits = {std::log(0.1f), std::log(0.5f), std::log(0.2f), std::log(0.2f)};

/// How often each token comes when u runs over an even grid.
std::vector<double> frequencies(const SamplerOptions& options) {
  constexpr int kDraws = 10000;
  std::vector<double> counts(kLogits.size(), 0.0);
  for (int i = 0; i < kDraws; ++i) {
    ++counts[static_cast<size_t>(sample_token(kLogits, options, (i + 0.5) / kDraws))];
  }
  for (double& count : counts) count /= kDraws;
  return counts;
}

TEST(Sampler, FollowsTheProbabilities) {
  const auto found = frequencies({});
  EXPECT_NEAR(found[0], 0.1, 1e-4);  // one grid step either way
  EXPECT_NEAR(found[1], 0.5, 1e-4);
  EXPECT_NEAR(found[2], 0.2, 1e-4);
  EXPECT_NEAR(found[3], 0.2, 1e-4);
}

TEST(Sampler, TemperatureSharpens) {
  const auto found = frequencies({.temperature = 0.5});  // probabilities squared
  EXPECT_NEAR(found[1], 0.25 / 0.34, 2e-4);
}

TEST(Sampler, ZeroTemperatureTakesTheFirstOfTheLikeliest) {
  EXPECT_EQ(sample_token(kLogits, {.temperature = 0.0}, 0.99), 1);
  const std::vector<float> equal = {1.0f, 3.0f, 3.0f};
  EXPECT_EQ(sample_token(equal, {.temperature = 0.0}, 0.99), 1);
}

TEST(Sampler, TopKKeepsTheLikeliest) {
  const auto found = frequencies({.top_k = 2});  // tokens 1 and 2: the first of the equal ones
  EXPECT_NEAR(found[1], 5.0 / 7.0, 2e-4);
  EXPECT_NEAR(found[2], 2.0 / 7.0, 2e-4);
  EXPECT_EQ(found[0] + found[3], 0.0);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatHoldsIt) {
  const auto found = frequencies({.top_p = 0.6});  // 0.5, then 0.2 makes 0.7 >= 0.6
  EXPECT_NEAR(found[1], 5.0 / 7.0, 2e-4);
  EXPECT_EQ(found[0] + found[3], 0.0);
  EXPECT_EQ(frequencies({.top_p = 1e-6})[1], 1.0);
}

TEST(Sampler, ImpossibleTokensNeverCome) {
  const float none = -std::numeric_limits<float>::infinity();
  const std::vector<float> logits = {none, 0.0f, none};
  for (const double u : {0.0, 0.5, 1.0 - 0x1p-53}) EXPECT_EQ(sample_token(logits, {}, u), 1);
}

TEST(Sampler, LogitsWithoutASenseAreErrors) {
  const float none = -std::numeric_limits<float>::infinity();
  EXPECT_THROW(sample_token(std::vector<float>{0.0f, std::nanf("")}, {}, 0.5), Error);
  EXPECT_THROW(sample_token(std::vector<float>{none, none}, {}, 0.5), Error);
  EXPECT_THROW(sample_token(std::vector<float>{}, {}, 0.5), Error);
}

}  // namespace
}  // namespace heed::recipes
