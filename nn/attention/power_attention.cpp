#include "nn/attention/power_attention.h"

namespace heed::nn {

void PowerAttentionOptions::options(Options& o) {
  o.field("block", block, "tokens of a block", {.min = 1});
  o.field("window", window, "nearest blocks, the own included", {.min = 1});
  o.field("sinks", sinks, "first blocks, which all see", {.min = 0});
}

AttentionPattern PowerAttention::pattern(const PatternRequest& request) const {
  const auto sees = [o = options_](int64_t query, int64_t key) {
    const int64_t distance = query - key;
    return distance >= 0 &&
           (key < o.sinks || distance < o.window || (distance & (distance - 1)) == 0);
  };
  const int64_t block = options_.block;
  if (request.offset % block == 0) {
    const int64_t first = request.offset / block;
    return AttentionPattern::blocks(
        block, request.queries, request.keys,
        [&](int64_t query, int64_t key) { return sees(first + query, key); });
  }
  // A step of decoding: its queries may lie anywhere in their blocks.
  return AttentionPattern::where(
      fmt::format("power({}, {}, {}, {})", block, options_.window, options_.sinks, request.offset),
      [sees, block, offset = request.offset](int64_t i, int64_t j) {
        return sees((offset + i) / block, j / block);
      });
}

}  // namespace heed::nn
