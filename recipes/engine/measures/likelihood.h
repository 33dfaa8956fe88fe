// A mean negative log-likelihood in the units that people compare.
#pragma once

#include <cstdint>

#include "recipes/engine/task.h"

namespace heed::recipes {

/// loss (nats a token), perplexity, bits_per_token and, where the bytes of text that the tokens
/// stand for are given (> 0), bits_per_byte.
Metrics likelihood_metrics(double nats, int64_t tokens, int64_t bytes = 0);

}  // namespace heed::recipes
