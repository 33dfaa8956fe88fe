// Attention put together from products and softmax, with all scores in memory: what a device runs
// where it has no fused kernel.
#pragma once

#include "kernels/attention/attention.h"

namespace heed::kernels::attn {

/// As kernels::attention and attention_backward. An Error for what it has not: of the score's terms
/// it knows scale, ALiBi and bias.
AttentionOutput composed_forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const AttentionSpec& spec);
AttentionGradients composed_backward(const Tensor& dout, const Tensor& dlse, const Tensor& q,
                                     const Tensor& k, const Tensor& v,
                                     const AttentionOutput& forward, const AttentionSpec& spec,
                                     bool want_q, bool want_kv, AttentionGradients into,
                                     const ScoreWants& wants);

}  // namespace heed::kernels::attn
