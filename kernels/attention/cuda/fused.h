// Fused attention on CUDA devices (FlashAttention-2, arXiv 2307.08691, mma.sync, sm_80 and up).
#pragma once

#include "kernels/attention/attention.h"

namespace heed::kernels::attn {

/// Whether the fused kernels take the call: bf16 up to a width of 256, f32 up to 128, and no
/// gradient of a score's tensor is wanted.
bool fits_fused_cuda(const Tensor& q, const Tensor& v, const AttentionSpec& spec,
                     const ScoreWants& wants = {});

/// As kernels::attention and kernels::attention_backward, for calls that fit.
AttentionOutput fused_cuda_forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionSpec& spec);
AttentionGradients fused_cuda_backward(const Tensor& dout, const Tensor& dlse, const Tensor& q,
                                       const Tensor& k, const Tensor& v,
                                       const AttentionOutput& forward, const AttentionSpec& spec,
                                       bool want_q, bool want_kv, AttentionGradients into);

}  // namespace heed::kernels::attn
