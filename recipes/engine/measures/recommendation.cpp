#include "recipes/engine/measures/recommendation.h"

#include <algorithm>
#include <cmath>

#include "recipes/engine/measures/ranking.h"

namespace heed::recipes {

int64_t rank_among_candidates(std::span<const float> scores, int64_t target,
                              std::vector<int64_t> excluded) {
  const float wanted = scores[static_cast<size_t>(target)];
  HEED_CHECK(!std::isnan(wanted), "ranking: the score of item {} is not a number", target);
  std::sort(excluded.begin(), excluded.end());
  excluded.erase(std::unique(excluded.begin(), excluded.end()), excluded.end());
  if (std::binary_search(excluded.begin(), excluded.end(), target)) return kNotRanked;
  int64_t rank = rank_of(scores, target);
  for (const int64_t item : excluded) {
    const float score = scores[static_cast<size_t>(item)];
    if (score > wanted || (score == wanted && item < target)) --rank;
  }
  return rank;
}

double recall_at(int64_t rank, int64_t k) { return rank >= 0 && rank < k ? 1.0 : 0.0; }

double ndcg_at(int64_t rank, int64_t k) {
  return rank >= 0 && rank < k ? 1.0 / std::log2(2.0 + static_cast<double>(rank)) : 0.0;
}

RecommendationMeasures::RecommendationMeasures(std::vector<int64_t> ks)
    : ks_(std::move(ks)), recall_(ks_.size()), ndcg_(ks_.size()) {}

void RecommendationMeasures::add(int64_t rank) {
  count_ += 1.0;
  for (size_t i = 0; i < ks_.size(); ++i) {
    recall_[i] += recall_at(rank, ks_[i]);
    ndcg_[i] += ndcg_at(rank, ks_[i]);
  }
}

void RecommendationMeasures::reduce(Communicator& communicator) {
  count_ = communicator.all_reduce_number(count_);
  for (std::vector<double>* sums : {&recall_, &ndcg_}) {
    for (double& sum : *sums) sum = communicator.all_reduce_number(sum);
  }
}

Metrics RecommendationMeasures::means(const std::string& prefix) const {
  Metrics metrics;
  for (size_t i = 0; i < ks_.size(); ++i) {
    metrics.emplace_back(fmt::format("{}recall@{}", prefix, ks_[i]), recall_[i] / count_);
    metrics.emplace_back(fmt::format("{}ndcg@{}", prefix, ks_[i]), ndcg_[i] / count_);
  }
  return metrics;
}

}  // namespace heed::recipes
