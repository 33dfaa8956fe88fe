// Blockwise ring attention (arXiv 2310.01889; Ring Self-Attention, arXiv 2105.13120, without its
// stored scores): ranks share the tokens of a sequence, keys and values travel round the ring of
// ranks together, and each rank merges what its queries see of every chunk through the
// log-sum-exps. Backwards a second ring carries the gradients of keys and values behind them.
//
// Elements that a rank sends, of K + V = 2 B Hkv c D for c tokens on each of N ranks: (N - 1)(K +
// V) forwards, twice that backwards (the gradients as f32, or f64); less where a pattern lets
// chunks end their way early (ring_schedule.h).
#pragma once

#include "autograd/ops/attention.h"
#include "distributed/communicator.h"
#include "distributed/token_layout.h"

namespace heed {

/// Attention of this rank's queries q [B, H, n, D] over all ranks' keys k [B, Hkv, m, D] and values
/// v [B, Hkv, m, Dv]; out and lse are those of `attention` on the whole sequences, at the queries'
/// places. `spec` is that of the whole sequences: patterns, relative indices, biases' and
/// temperatures' keys. What the score holds by query (biases, temperatures, relative logits,
/// sinks) may have all queries or this rank's. Differentiable as `attention` is; the gradients of
/// the score's tensors are this rank's part of their sum over ranks. Every rank calls it, and the
/// backward pass, in the same order; `ranks` outlives that.
///
/// A RequestError where tokens do not share out, and for dropout with patterns whose plan reorders
/// tokens.
AttentionResult ring_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                               const AttentionSpec& spec, Communicator& ranks, TokenLayout layout);

/// The spec with the rows of this rank's queries alone in what the score holds by query;
/// differentiable.
AttentionSpec own_query_rows(const AttentionSpec& spec, const std::vector<int64_t>& positions,
                             int64_t queries);

}  // namespace heed
