// Measures against values worked out by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "recipes/engine/measures/confusion.h"
#include "recipes/engine/measures/error_sums.h"
#include "recipes/engine/measures/likelihood.h"
#include "recipes/engine/measures/ranking.h"

namespace heed::recipes {
namespace {

TEST(Confusion, AccuracyAndF1) {
  // truth x predicted: 2 1 0 / 0 3 1 / 1 0 2
  Confusion confusion(3);
  const int64_t counts[3][3] = {{2, 1, 0}, {0, 3, 1}, {1, 0, 2}};
  for (int64_t truth = 0; truth < 3; ++truth) {
    for (int64_t predicted = 0; predicted < 3; ++predicted) {
      for (int64_t n = 0; n < counts[truth][predicted]; ++n) confusion.add(truth, predicted);
    }
  }
  EXPECT_EQ(confusion.total(), 10);
  EXPECT_EQ(confusion.count(1, 2), 1);
  EXPECT_DOUBLE_EQ(confusion.accuracy(), 0.7);
  EXPECT_DOUBLE_EQ(confusion.f1(0), 4.0 / 6.0);  // TP 2, FN 1, FP 1
  EXPECT_DOUBLE_EQ(confusion.f1(1), 6.0 / 8.0);  // TP 3, FN 1, FP 1
  EXPECT_DOUBLE_EQ(confusion.f1(2), 4.0 / 6.0);  // TP 2, FN 1, FP 1
  EXPECT_DOUBLE_EQ(confusion.macro_f1(), (4.0 / 6.0 + 6.0 / 8.0 + 4.0 / 6.0) / 3.0);
}

TEST(Confusion, ClassesThatDoNotOccurDoNotCount) {
  Confusion confusion(4);
  confusion.add(0, 0);
  confusion.add(0, 2);
  EXPECT_TRUE(std::isnan(confusion.f1(3)));
  EXPECT_DOUBLE_EQ(confusion.macro_f1(), (2.0 / 3.0 + 0.0) / 2.0);
}

TEST(Confusion, RefusesClassesOutside) {
  Confusion confusion(2);
  EXPECT_THROW(confusion.add(2, 0), Error);
  EXPECT_THROW(confusion.add(0, -1), Error);
  EXPECT_TRUE(std::isnan(confusion.accuracy()));
}

TEST(Ranking, RankCountsGreaterScoresAndEarlierEqualOnes) {
  const std::vector<float> scores = {0.5f, 2.0f, 0.5f, -1.0f, 2.0f};
  const int64_t expected[] = {2, 0, 3, 4, 1};
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(rank_of(scores, i), expected[i]) << i;
  EXPECT_EQ(best_of(scores), 1);
  EXPECT_THROW(rank_of(scores, 5), Error);
}

TEST(Ranking, AucCountsPairs) {
  // Pairs (positive, negative): 0.9 and 0.4 against 0.1, 0.4, 0.5: 3 + (1 + 0.5 + 0) of 6.
  const std::vector<double> scores = {0.1, 0.9, 0.4, 0.4, 0.5};
  EXPECT_DOUBLE_EQ(roc_auc(scores, {false, true, true, false, false}), 4.5 / 6.0);
  EXPECT_DOUBLE_EQ(roc_auc(scores, {true, false, false, true, true}), 1.5 / 6.0);
  EXPECT_DOUBLE_EQ(roc_auc(std::vector<double>(4, 1.0), {true, false, false, true}), 0.5);
  EXPECT_TRUE(std::isnan(roc_auc(scores, std::vector<bool>(5, true))));
}

TEST(Likelihood, OneLossInManyUnits) {
  const Metrics metrics = likelihood_metrics(8.0 * std::log(4.0), 8, 16);
  EXPECT_DOUBLE_EQ(*find_metric(metrics, "loss"), std::log(4.0));
  EXPECT_DOUBLE_EQ(*find_metric(metrics, "perplexity"), 4.0);
  EXPECT_DOUBLE_EQ(*find_metric(metrics, "bits_per_token"), 2.0);
  EXPECT_DOUBLE_EQ(*find_metric(metrics, "bits_per_byte"), 1.0);
  EXPECT_EQ(find_metric(likelihood_metrics(1.0, 1), "bits_per_byte"), nullptr);
}

TEST(ErrorSums, AgainstHandComputedValues) {
  // errors 1, -1, 2, 0; truths 1, 2, 3, 6 with mean 3 and squared deviations 4 + 1 + 0 + 9
  for (const double origin : {0.0, 3.0, -100.0}) {
    ErrorSums sums(origin);
    sums.add(2, 1);
    sums.add(1, 2);
    sums.add(5, 3);
    sums.add(6, 6);
    EXPECT_DOUBLE_EQ(sums.mse(), 6.0 / 4.0);
    EXPECT_DOUBLE_EQ(sums.rmse(), std::sqrt(1.5));
    EXPECT_DOUBLE_EQ(sums.mae(), 1.0);
    EXPECT_NEAR(sums.r2(), 1.0 - 6.0 / 14.0, 1e-11);  // 4e4 eps / 14 at the far origin
  }
}

TEST(Confusion, IntersectionOverUnion) {
  Confusion confusion(4);
  for (const auto& [truth, predicted] :
       {std::pair(0, 0), std::pair(1, 0), std::pair(1, 1), std::pair(2, 1), std::pair(0, 0)}) {
    confusion.add(truth, predicted);
  }
  EXPECT_DOUBLE_EQ(confusion.iou(0), 2.0 / 3);
  EXPECT_DOUBLE_EQ(confusion.iou(1), 1.0 / 3);
  EXPECT_DOUBLE_EQ(confusion.iou(2), 0.0);
  EXPECT_TRUE(std::isnan(confusion.iou(3))) << "neither there nor said to be";
  EXPECT_DOUBLE_EQ(confusion.mean_iou(), 1.0 / 3);
}

}  // namespace
}  // namespace heed::recipes
