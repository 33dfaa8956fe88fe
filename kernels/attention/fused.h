// The fused kernels for f32 and bf16 (f32 accumulation). Rows of all tensors are contiguous.
#pragma once

#include "kernels/attention/tiles.h"

namespace heed::kernels::attn {

void fused_forward(const Problem& problem, const Tensor& q, const Tensor& k, const Tensor& v,
                   const Tensor& out, const Tensor& lse);

/// Undefined gradients are not computed; dk and dv go together. `dlse` may be undefined.
void fused_backward(const Problem& problem, const Tensor& dout, const Tensor& dlse, const Tensor& q,
                    const Tensor& k, const Tensor& v, const AttentionOutput& forward,
                    const AttentionGradients& grads);

/// What all tasks of a backward pass share.
struct BackwardCall {
  const Problem& p;
  const Tensor &dout, &dlse, &q, &k, &v;
  const AttentionOutput& forward;
  const AttentionGradients& grads;
  Tasks tasks;
  Tensor dk_partial = {}, dv_partial = {};  // [slices, B Hkv, padded M, padded D] f32, with slices
};

}  // namespace heed::kernels::attn
