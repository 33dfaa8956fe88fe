// The fused kernels for f32 and bf16 (f32 accumulation). Rows of all tensors are contiguous.
#pragma once

#include "kernels/attention/plan.h"

namespace heed::kernels::attn {

void fused_forward(const Problem& problem, const Tensor& q, const Tensor& k, const Tensor& v,
                   const Tensor& out, const Tensor& lse);

/// Undefined gradients are not computed; dk and dv go together. `dlse` may be undefined.
void fused_backward(const Problem& problem, const Tensor& dout, const Tensor& dlse, const Tensor& q,
                    const Tensor& k, const Tensor& v, const AttentionOutput& forward,
                    const AttentionGradients& grads);

}  // namespace heed::kernels::attn
