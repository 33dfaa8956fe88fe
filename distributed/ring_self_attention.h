// Ring Self-Attention (RSA, arXiv 2105.13120) as the paper has it: keys go once round the ring to
// make a rank's full rows of scores [c, L], which are kept; values go round once more to weigh
// them.
//   S_r[:, j] = scale Q_r K_j^T    P_r = softmax(S_r)    O_r = sum_j P_r[:, j] V_j
//   dP_r[:, j] = dO_r V_j^T        dS_r = P_r (dP_r - D_r)    dQ_r = scale sum_j dS_r[:, j] K_j
//   dV = sum_r P_r^T dO_r          dK = scale sum_r dS_r^T Q_r      (reduce-scatter)
// Elements that a rank sends, U = (N - 1) B Hkv c D: 2U forwards, 4U backwards. It keeps B H c L
// scores; ring_attention.h keeps none.
#pragma once

#include "autograd/ops/attention.h"
#include "distributed/communicator.h"
#include "distributed/token_layout.h"

namespace heed {

/// As ring_attention, for scores without terms beside the scale and slopes by position.
/// Differentiable in q, k and v, through out and lse.
AttentionResult ring_self_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionSpec& spec, Communicator& ranks,
                                    TokenLayout layout);

}  // namespace heed
