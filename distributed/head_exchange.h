// Attention over shared tokens by an exchange of heads (DeepSpeed-Ulysses, arXiv 2309.14509): an
// all-to-all gives each rank all tokens of its share of the heads, another one brings the results
// back. The heads in between are attention as on one rank, whatever the pattern.
//
// Elements that a rank sends: (N - 1)/N of q, k, v and out, forwards and backwards: 8U/N of the
// ring's U where all have H heads.
#pragma once

#include "autograd/ops/attention.h"
#include "distributed/communicator.h"
#include "distributed/token_layout.h"

namespace heed {

/// As ring_attention, for heads and key/value heads that are multiples of the ranks (else a
/// RequestError). Without `with_lse` the log-sum-exps stay undefined, and are not sent.
AttentionResult head_exchange_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                        const AttentionSpec& spec, Communicator& ranks,
                                        TokenLayout layout, bool with_lse = true);

}  // namespace heed
