// Fused attention with an additive bias of the scores that is learned.
#pragma once

#include "autograd/ops/attention.h"

namespace heed::nn {

/// softmax(scale q k^T + bias) v: q [B, H, N, D], k and v [B, Hkv, M, D], bias [H, N, M] -> [B, H,
/// N, D]. `lengths` [B] i64 are the keys that count in each row (all, when undefined); rows without
/// any are 0. Differentiable in q, k, v and bias. `spec`'s slopes are refused.
Tensor biased_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        const Tensor& lengths, const AttentionSpec& spec);

}  // namespace heed::nn
