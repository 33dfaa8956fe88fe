#include "recipes/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/error.h"

namespace heed::recipes {
namespace {

size_t likeliest(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    HEED_CHECK(!std::isnan(logits[i]), "sampling: the logit of token {} is NaN", i);
    if (logits[i] > logits[best]) best = i;
  }
  HEED_CHECK(std::isfinite(logits[best]), "sampling: the largest logit is {}", logits[best]);
  return best;
}

}  // namespace

int64_t sample_token(std::span<const float> logits, const SamplerOptions& options, double u) {
  HEED_CHECK(!logits.empty(), "sampling: no logits");
  const size_t best = likeliest(logits);
  if (options.temperature == 0.0) return static_cast<int64_t>(best);

  // Candidates, the likeliest first where a cut needs the order.
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto likelier = [&](size_t a, size_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < order.size()) {
    const auto cut = order.begin() + options.top_k;
    std::partial_sort(order.begin(), cut, order.end(), likelier);
    order.erase(cut, order.end());
  } else if (options.top_p < 1.0) {
    std::sort(order.begin(), order.end(), likelier);
  }

  std::vector<double> weights(order.size());
  double total = 0.0;
  for (size_t i = 0; i < order.size(); ++i) {
    const double shifted = static_cast<double>(logits[order[i]]) - logits[best];
    weights[i] = std::exp(shifted / options.temperature);
    total += weights[i];
  }
  if (options.top_p < 1.0) {
    double kept = 0.0;
    size_t count = 0;
    while (count < weights.size() && kept < options.top_p * total) kept += weights[count++];
    weights.resize(count);
    total = kept;
  }

  double left = u * total;
  size_t chosen = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0.0) continue;
    chosen = i;
    left -= weights[i];
    if (left < 0.0) break;
  }
  return static_cast<int64_t>(order[chosen]);
}

}  // namespace heed::recipes
