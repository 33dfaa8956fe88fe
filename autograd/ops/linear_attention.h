// Differentiable attention in linear time (kernels/linear_attention/linear_attention.h).
#pragma once

#include "autograd/tape.h"

namespace heed {

struct LinearAttentionOptions {
  /// Logarithms of the decays: [B, H, N], or [B, H, N, D] for one of each channel of the keys;
  /// undefined: none. They come before a token's own key and value are added.
  Tensor log_decay = {};
  /// What a call before this one left (LinearAttentionResult::state); undefined: nothing.
  Tensor state = {};
  /// Divides by the sum of the weights q_t.k_j (decays included), at least `least`.
  bool normalise = false;
  double least = 1e-6;
};

struct LinearAttentionResult {
  Tensor out;    ///< [B, H, N, Dv], laid out [B, N, H, Dv]
  Tensor state;  ///< [B, H, D, Dv] in f32 (f64 for f64); one column more when normalised
};

/// out_t = sum over j <= t of e^(g_(j+1) + ... + g_t) (q_t.k_j) v_j: q and k [B, H, N, D], v [B, H,
/// N, Dv], in O(N D Dv). Sequences may be cut anywhere and go on from the state; gradients pass
/// through it. There is no scale: it belongs into q.
LinearAttentionResult causal_linear_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                              const LinearAttentionOptions& options = {});

/// out_i = sum over all j of (q_i.k_j) v_j, and divided by the sum of the weights, at least
/// `least`, when `normalise`: q [B, H, N, D], k [B, H, M, D], v [B, H, M, Dv], as two products.
Tensor bidirectional_linear_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                      bool normalise = false, double least = 1e-6);

}  // namespace heed
