#include "nn/attention/power_attention.h"

#include "kernels/attention/patterns/named.h"

namespace heed::nn {

void PowerAttentionOptions::options(Options& o) {
  o.field("block", block, "tokens of a block", {.min = 1});
  o.field("window", window, "nearest blocks, the own included", {.min = 1});
  o.field("sinks", sinks, "first blocks, which all see", {.min = 0});
}

AttentionPattern PowerAttention::pattern(const PatternRequest& request) const {
  return power_blocks(request.queries, request.keys, request.offset,
                      {options_.block, options_.window, options_.sinks});
}

}  // namespace heed::nn
