// Measures of scores by their order: the place of the right class among all, and the area under the
// receiver operating characteristic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace heed::recipes {

/// How many of the scores come before the target's: greater ones, and equal ones of lower index.
/// The target is in the top k when this is below k.
int64_t rank_of(std::span<const float> scores, int64_t target);

/// The index of the greatest score, the first of equal ones.
int64_t best_of(std::span<const float> scores);

/// Probability that a positive example's score is above a negative one's, equal scores counting one
/// half (Mann-Whitney U / pairs), in O(n log n). NaN where there are no positives or no negatives.
double roc_auc(std::span<const double> scores, const std::vector<bool>& positive);

}  // namespace heed::recipes
