// From logits to a token: temperature, top-k, nucleus (top-p, Holtzman et al., arXiv 1904.09751).
#pragma once

#include <cstdint>
#include <span>

namespace heed::recipes {

struct SamplerOptions {
  double temperature = 1.0;  ///< 0 takes the likeliest token
  int64_t top_k = 0;         ///< 0 for all
  double top_p = 1.0;        ///< the smallest set of likeliest tokens with this much probability
};

/// Draws an index of `logits` with the uniform number `u` in [0, 1). Of equal logits the first
/// counts as the likelier. Throws Error when a logit is NaN or all are -inf.
int64_t sample_token(std::span<const float> logits, const SamplerOptions& options, double u);

}  // namespace heed::recipes
