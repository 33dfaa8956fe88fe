#include "recipes/engine/measures/retrieval.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/error.h"

namespace heed::recipes {

RetrievalMeasures::RetrievalMeasures(std::vector<int64_t> ks)
    : ks_(std::move(ks)), found_(ks_.size(), 0.0) {}

void RetrievalMeasures::add(std::span<const float> similarities, const std::vector<bool>& relevant,
                            int64_t itself) {
  HEED_CHECK(similarities.size() == relevant.size(), "retrieval: {} similarities for {} items",
             similarities.size(), relevant.size());
  std::vector<size_t> order;
  for (size_t i = 0; i < similarities.size(); ++i) {
    HEED_CHECK(!std::isnan(similarities[i]), "retrieval: the similarity to item {} is no number",
               i);
    if (static_cast<int64_t>(i) != itself) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return similarities[a] > similarities[b]; });
  double hits = 0.0, precisions = 0.0;
  size_t first = order.size();
  for (size_t rank = 0; rank < order.size(); ++rank) {
    if (!relevant[order[rank]]) continue;
    if (hits == 0.0) first = rank;
    hits += 1.0;
    precisions += hits / static_cast<double>(rank + 1);
  }
  if (hits == 0.0) return;
  count_ += 1.0;
  precision_ += precisions / hits;
  for (size_t i = 0; i < ks_.size(); ++i) {
    if (first < static_cast<size_t>(ks_[i])) found_[i] += 1.0;
  }
}

void RetrievalMeasures::reduce(Communicator& communicator) {
  count_ = communicator.all_reduce_number(count_);
  precision_ = communicator.all_reduce_number(precision_);
  for (double& found : found_) found = communicator.all_reduce_number(found);
}

Metrics RetrievalMeasures::means() const {
  const auto mean = [&](double sum) {
    return count_ > 0.0 ? sum / count_ : std::numeric_limits<double>::quiet_NaN();
  };
  Metrics metrics{{"map", mean(precision_)}};
  for (size_t i = 0; i < ks_.size(); ++i) {
    metrics.emplace_back(fmt::format("recall@{}", ks_[i]), mean(found_[i]));
  }
  return metrics;
}

}  // namespace heed::recipes
