#include "recipes/engine/measures/ranking.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"

namespace heed::recipes {

int64_t rank_of(std::span<const float> scores, int64_t target) {
  HEED_CHECK(target >= 0 && target < static_cast<int64_t>(scores.size()),
             "rank: target {} of {} scores", target, scores.size());
  const float own = scores[static_cast<size_t>(target)];
  int64_t before = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(scores.size()); ++i) {
    const float score = scores[static_cast<size_t>(i)];
    before += score > own || (score == own && i < target);
  }
  return before;
}

int64_t best_of(std::span<const float> scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

double roc_auc(std::span<const double> scores, const std::vector<bool>& positive) {
  HEED_CHECK(scores.size() == positive.size(), "auc: {} scores for {} examples", scores.size(),
             positive.size());
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  double positives = 0.0, negatives = 0.0, wins = 0.0;
  for (size_t i = 0; i < order.size();) {
    double equal_positives = 0.0, equal_negatives = 0.0;
    const double score = scores[order[i]];
    for (; i < order.size() && scores[order[i]] == score; ++i) {
      (positive[order[i]] ? equal_positives : equal_negatives) += 1.0;
    }
    wins += equal_positives * (negatives + 0.5 * equal_negatives);
    positives += equal_positives;
    negatives += equal_negatives;
  }
  return wins / (positives * negatives);
}

}  // namespace heed::recipes
