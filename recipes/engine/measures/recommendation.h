// How well a list of recommendations finds the one item that was wanted: recall and discounted gain
// of its first k.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "recipes/engine/task.h"

namespace heed::recipes {

/// The rank of a target that is no candidate.
inline constexpr int64_t kNotRanked = -1;

/// How many candidates come before the target (see rank_of() in ranking.h). `excluded` indices, in
/// any order and perhaps repeated, are no candidates: kNotRanked when the target is one of them.
/// An Error when the target's score is not a number.
int64_t rank_among_candidates(std::span<const float> scores, int64_t target,
                              std::vector<int64_t> excluded);

/// 1 when the rank is below k, else 0: with one wanted item, recall is the hit rate.
double recall_at(int64_t rank, int64_t k);
/// 1 / log2(2 + rank) when the rank is below k, else 0: normalised discounted cumulative gain
/// (Jarvelin and Kekalainen, ACM TOIS 20, 2002) of one wanted item, whose ideal gain is 1.
double ndcg_at(int64_t rank, int64_t k);

/// Averages over many lists.
class RecommendationMeasures {
 public:
  explicit RecommendationMeasures(std::vector<int64_t> ks);

  void add(int64_t rank);
  /// Sums over the ranks of the mesh.
  void reduce(Communicator& communicator);

  double count() const { return count_; }
  /// recall@k and ndcg@k for every k, each name after `prefix`; NaN for no lists.
  Metrics means(const std::string& prefix = "") const;

 private:
  std::vector<int64_t> ks_;
  std::vector<double> recall_, ndcg_;  // sums, by k
  double count_ = 0.0;
};

}  // namespace heed::recipes
