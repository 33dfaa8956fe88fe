#include <gtest/gtest.h>

#include <cmath>

#include "recipes/engine/measures/recommendation.h"

namespace heed::recipes {
namespace {

TEST(RecommendationMeasures, ExcludedItemsAreNoCandidates) {
  const std::vector<float> scores = {4.0f, 3.0f, 2.0f, 1.0f};
  EXPECT_EQ(rank_among_candidates(scores, 2, {}), 2);
  EXPECT_EQ(rank_among_candidates(scores, 2, {3, 0, 0}), 1);
  EXPECT_EQ(rank_among_candidates(scores, 2, {1, 0}), 0);
  EXPECT_EQ(rank_among_candidates(scores, 0, {0, 3}), kNotRanked);
}

TEST(RecommendationMeasures, EqualScoresRankByTheirIndex) {
  const std::vector<float> scores = {1.0f, 2.0f, 1.0f, 1.0f};
  EXPECT_EQ(rank_among_candidates(scores, 0, {}), 1);
  EXPECT_EQ(rank_among_candidates(scores, 2, {}), 2);
  EXPECT_EQ(rank_among_candidates(scores, 2, {0}), 1);
  EXPECT_EQ(rank_among_candidates(scores, 2, {3}), 2);
}

TEST(RecommendationMeasures, AScoreThatIsNoNumberIsAnError) {
  const std::vector<float> scores = {NAN, 1.0f};
  EXPECT_THROW(rank_among_candidates(scores, 0, {}), Error);
  EXPECT_EQ(rank_among_candidates(scores, 1, {}), 0);
}

TEST(RecommendationMeasures, RecallAndGainByHand) {
  EXPECT_EQ(recall_at(4, 5), 1.0);
  EXPECT_EQ(recall_at(5, 5), 0.0);
  EXPECT_EQ(recall_at(kNotRanked, 5), 0.0);
  EXPECT_DOUBLE_EQ(ndcg_at(0, 5), 1.0);
  EXPECT_DOUBLE_EQ(ndcg_at(1, 5), std::log(2.0) / std::log(3.0));
  EXPECT_DOUBLE_EQ(ndcg_at(2, 5), 0.5);
  EXPECT_EQ(ndcg_at(5, 5), 0.0);
  EXPECT_EQ(ndcg_at(kNotRanked, 5), 0.0);
}

TEST(RecommendationMeasures, AverageOverLists) {
  RecommendationMeasures measures({1, 5});
  for (const int64_t rank : {int64_t{0}, int64_t{2}, int64_t{6}, kNotRanked}) measures.add(rank);
  const Metrics means = measures.means("popularity.");
  EXPECT_EQ(measures.count(), 4);
  EXPECT_DOUBLE_EQ(*find_metric(means, "popularity.recall@1"), 0.25);
  EXPECT_DOUBLE_EQ(*find_metric(means, "popularity.ndcg@1"), 0.25);
  EXPECT_DOUBLE_EQ(*find_metric(means, "popularity.recall@5"), 0.5);
  EXPECT_DOUBLE_EQ(*find_metric(means, "popularity.ndcg@5"), 0.375);
}

}  // namespace
}  // namespace heed::recipes
