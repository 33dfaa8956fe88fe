// Attention row by row, as the formula reads: the f64 path, which gradient checks run on.
#pragma once

#include "kernels/attention/pair_walk.h"
#include "kernels/attention/plan.h"

namespace heed::kernels::attn {

void reference_forward(const Problem& problem, const Tensor& q, const Tensor& k, const Tensor& v,
                       const Tensor& out, const Tensor& lse);

/// Undefined gradients are not computed; dk and dv go together. `dlse` and forward.out may be
/// undefined.
void reference_backward(const Problem& problem, const Tensor& dout, const Tensor& dlse,
                        const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionOutput& forward, const AttentionGradients& grads,
                        const PairWalk<double>& walk = {});

}  // namespace heed::kernels::attn
