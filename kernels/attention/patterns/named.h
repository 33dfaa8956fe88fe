// Patterns of single papers, made of the general ones.
#pragma once

#include "core/random.h"
#include "kernels/attention/pattern.h"

namespace heed {

/// Every query sees the same `kept` of `tokens` keys, drawn by `key`, and itself (information
/// pathways, arXiv 2306.05235: one subset for all batches and heads). The draw depends on the key
/// alone, so that recomputation and any number of threads see the same pairs.
AttentionPattern random_sources(int64_t tokens, int64_t kept, const RandomKey& key);

/// Blocks of `block` tokens side by side: a query sees its own block, `before` blocks before it and
/// `after` behind it. With causal() and one block before: the local heads of routing transformers
/// (arXiv 2003.05997).
AttentionPattern block_window(int64_t tokens, int64_t block, int64_t before, int64_t after);

/// One axis of centred taps.
struct TapAxis {
  int64_t keys = 0;      ///< along the axis
  int64_t taps = 0;      ///< odd
  int64_t dilation = 1;  ///< distance between neighbouring taps
  int64_t pool = 1;      ///< queries along the axis for every key (keys pooled by so much)
};

/// The taps around each query's key; those beyond the border count as keys of logit and value 0
/// (TiC's MSA-Conv, its dilated and its pooled form). Its cyclic shifts by head are a roll of each
/// head's keys and values.
AttentionPattern centred_taps(const std::vector<TapAxis>& axes);

}  // namespace heed
