// Causal attention in linear time (Katharopoulos et al., arXiv 2006.16236, eq. 16-20), with gates
// (retention, arXiv 2307.08621; gated linear attention, arXiv 2312.06635; Mamba-2, arXiv
// 2405.21060). Each head carries a matrix S [D, Dv]:
//   S_t = e^(g_t) S_{t-1} + k_t v_t^T        out_t = q_t^T S_t
// g_t, the logarithm of a decay, is one number for a token or one for each channel of the keys
// (each row of S); at most 0 in all uses known, and safe from 0 down to -infinity.
//
// f32 and bf16 (f32 accumulation) run in chunks of 64 tokens on products of small matrices, all
// chunks at once but for a scan over their states; f64, for checks, token by token (on a device in
// chunks too). Results do not depend on the number of threads.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

struct LinearAttentionInputs {
  Tensor q;               ///< [B, H, N, D], any strides
  Tensor k;               ///< [B, H, N, D]
  Tensor v;               ///< [B, H, N, Dv]
  Tensor log_decay = {};  ///< g: [B, H, N] or [B, H, N, D], floating; undefined: 0
  Tensor state = {};      ///< S before the first token, [B, H, D, Dv]; undefined: 0
};

struct LinearAttentionOutput {
  Tensor out;    ///< [B, H, N, Dv], laid out [B, N, H, Dv]
  Tensor state;  ///< S after the last token, [B, H, D, Dv] in f32 (f64 for f64)
  /// What the backward pass needs: S at the chunks' borders, one of D x Dv (both padded to 16) for
  /// 64 tokens.
  Tensor states;
};
LinearAttentionOutput linear_attention(const LinearAttentionInputs& inputs);

struct LinearAttentionGradients {
  Tensor dq, dk, dv;  ///< laid out [B, N, H, D], in the dtype of q
  Tensor dlog_decay;  ///< f32 (f64 for f64); undefined without a decay
  Tensor dstate;      ///< f32 (f64 for f64)
};
/// `dout` and `dstate` (of the last state) may be undefined: zero. A chunk is computed again from
/// the state before it.
LinearAttentionGradients linear_attention_backward(const Tensor& dout, const Tensor& dstate,
                                                   const LinearAttentionInputs& inputs,
                                                   const Tensor& states);

}  // namespace heed::kernels
