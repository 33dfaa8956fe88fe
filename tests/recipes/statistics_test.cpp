#include "recipes/engine/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace heed::recipes {
namespace {

TEST(Statistics, SpreadDividesByCountLessOne) {
  const Spread spread = spread_of({1.0, 2.0, 3.0, 6.0});
  EXPECT_EQ(spread.count, 4);
  EXPECT_DOUBLE_EQ(spread.mean, 3.0);
  EXPECT_DOUBLE_EQ(spread.deviation, std::sqrt(14.0 / 3.0));
  EXPECT_EQ(spread_of({5.0}).deviation, 0.0);
  EXPECT_EQ(spread_of({}).count, 0);
}

TEST(Statistics, QuantilesLieBetweenSortedValues) {
  EXPECT_DOUBLE_EQ(quantile({3.0, 1.0, 2.0}, 0.5), 2.0);
  EXPECT_DOUBLE_EQ(quantile({4.0, 1.0, 3.0, 2.0}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({4.0, 1.0, 3.0, 2.0}, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(quantile({4.0, 1.0, 3.0, 2.0}, 1.0), 4.0);
  EXPECT_DOUBLE_EQ(quantile({7.0}, 0.9), 7.0);
}

TEST(Statistics, StudentsDistributionHasItsClosedForms) {
  for (const double t : {-3.0, -0.5, 0.0, 0.1, 1.0, 7.0}) {
    EXPECT_NEAR(student_cdf(t, 1.0), 0.5 + std::atan(t) / std::numbers::pi, 1e-13) << t;
    EXPECT_NEAR(student_cdf(t, 2.0), 0.5 + t / (2.0 * std::sqrt(2.0 + t * t)), 1e-13) << t;
    EXPECT_NEAR(student_cdf(t, 4.0),
                0.5 + 0.375 * (t / std::sqrt(1.0 + t * t / 4.0)) *
                          (1.0 - t * t / (1.0 + t * t / 4.0) / 12.0),
                1e-13)
        << t;
  }
  // Towards the normal distribution.
  EXPECT_NEAR(student_cdf(1.0, 1e7), 0.5 * std::erfc(-1.0 / std::numbers::sqrt2), 1e-7);
}

TEST(Statistics, QuantilesAreThoseOfTheTables) {
  EXPECT_NEAR(student_quantile(0.975, 1), 12.7062, 5e-5);
  EXPECT_NEAR(student_quantile(0.975, 2), 4.30265, 5e-6);
  EXPECT_NEAR(student_quantile(0.975, 4), 2.77645, 5e-6);
  EXPECT_NEAR(student_quantile(0.975, 10), 2.22814, 5e-6);
  EXPECT_NEAR(student_quantile(0.95, 30), 1.69726, 5e-6);
  EXPECT_DOUBLE_EQ(student_quantile(0.025, 3.7), -student_quantile(0.975, 3.7));
  EXPECT_NEAR(student_cdf(student_quantile(0.9, 2.5), 2.5), 0.9, 1e-13);
}

TEST(Statistics, MeanIntervalByHand) {
  // Mean 2, deviation 1, standard error 1 / sqrt 3, 2 degrees of freedom.
  const Estimate e = mean_estimate({1.0, 2.0, 3.0});
  EXPECT_DOUBLE_EQ(e.value, 2.0);
  EXPECT_NEAR(e.high, 2.0 + 4.30265 / std::sqrt(3.0), 5e-6);
  EXPECT_NEAR(e.low, 2.0 - 4.30265 / std::sqrt(3.0), 5e-6);
}

TEST(Statistics, WelchWithEqualSpreadsHasTwiceTheDegrees) {
  // Variances 1 and 1, three values each: degrees 4, standard error sqrt(2 / 3).
  const Estimate e = welch_difference({11.0, 12.0, 13.0}, {1.0, 2.0, 3.0});
  EXPECT_DOUBLE_EQ(e.value, 10.0);
  EXPECT_NEAR(e.high - e.value, 2.77645 * std::sqrt(2.0 / 3.0), 5e-6);
}

TEST(Statistics, WelchAgainstAConstantIsStudents) {
  const Estimate welch = welch_difference({1.0, 2.0, 3.0}, {5.0, 5.0, 5.0});
  const Estimate mean = mean_estimate({1.0, 2.0, 3.0});
  EXPECT_DOUBLE_EQ(welch.low, mean.low - 5.0);
  EXPECT_DOUBLE_EQ(welch.high, mean.high - 5.0);
}

TEST(Statistics, PairsLoseWhatTheyShare) {
  const Estimate e = paired_difference({1.5, 20.5, 300.5}, {1.0, 20.0, 300.0});
  EXPECT_DOUBLE_EQ(e.value, 0.5);
  EXPECT_DOUBLE_EQ(e.low, 0.5);
  EXPECT_DOUBLE_EQ(e.high, 0.5);
}

TEST(Statistics, TooFewValuesTellNothing) {
  EXPECT_TRUE(std::isinf(mean_estimate({1.0}).high));
  EXPECT_TRUE(std::isinf(welch_difference({1.0}, {1.0, 2.0}).low));
}

}  // namespace
}  // namespace heed::recipes
