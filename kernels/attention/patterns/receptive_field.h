// How far a pattern carries in several layers: a token hears another when a chain of attentions
// joins them.
#pragma once

#include <vector>

#include "kernels/attention/pattern.h"

namespace heed {

/// hops[j]: the fewest attentions by the pattern, one behind the other, after which token j of
/// `tokens` may have an effect on token `query`; -1 where none does, and 0 for the query itself.
/// Residual connections count: what a token has heard it keeps. A pattern of blocks of one token
/// tells the same of blocks. Asks about each pair once at most.
std::vector<int64_t> attention_hops(const AttentionPattern& pattern, int64_t tokens, int64_t query);

/// How many tokens are heard after 0, 1, ..., `layers` attentions.
std::vector<int64_t> receptive_field(const AttentionPattern& pattern, int64_t tokens, int64_t query,
                                     int64_t layers);

}  // namespace heed
