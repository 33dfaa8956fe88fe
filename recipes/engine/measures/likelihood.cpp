#include "recipes/engine/measures/likelihood.h"

#include <cmath>
#include <numbers>

#include "data/ngram.h"

namespace heed::recipes {

Metrics likelihood_metrics(double nats, int64_t tokens, int64_t bytes) {
  const double loss = nats / static_cast<double>(tokens);
  Metrics metrics = {
      {"loss", loss}, {"perplexity", std::exp(loss)}, {"bits_per_token", loss / std::numbers::ln2}};
  if (bytes > 0) {
    metrics.emplace_back("bits_per_byte", data::bits_per_byte(nats, bytes));
  }
  return metrics;
}

}  // namespace heed::recipes
