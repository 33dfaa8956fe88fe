#include "nn/attention/window_attention.h"

namespace heed::nn {

void WindowAttentionOptions::options(Options& o) {
  o.field("window", window, "tokens that a token sees: up to itself, or half on either side",
          {.min = 1});
  o.field("sinks", sinks, "first tokens that all see", {.min = 0});
}

AttentionPattern WindowAttention::pattern(const PatternRequest& request) const {
  const int64_t half = options_.window / 2;
  const AttentionPattern near =
      host().causal ? AttentionPattern::window(options_.window - 1, 0, request.offset)
                    : AttentionPattern::window(half, half, request.offset);
  return options_.sinks > 0 ? near | AttentionPattern::prefix(options_.sinks) : near;
}

KeySpan WindowAttention::key_span() const {
  // ALiBi counts the distance to a sink, which what was forgotten is a part of.
  if (options_.sinks > 0 && host().position == "alibi") return {};
  return {options_.sinks, options_.window - 1};
}

}  // namespace heed::nn
