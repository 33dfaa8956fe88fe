// Differentiable fused attention: softmax(scale q k^T + score terms) v over the pairs of a pattern,
// with the log-sum-exp of each row, and without an N x N matrix in either direction.
#pragma once

#include <utility>

#include "autograd/tape.h"
#include "kernels/attention/attention.h"

namespace heed {

struct AttentionResult {
  Tensor out;  // [B, H, N, Dv], a view of memory laid out [B, N, H, Dv]
  Tensor lse;  // [B, H, N] f32 (f64 for f64); -inf for a row without keys, whose out is 0
};

/// q [B, H, N, D], k [B, Hkv, M, D], v [B, Hkv, M, Dv]; H a multiple of Hkv (grouped-query
/// attention); any strides whose last dimension is contiguous. Differentiable in q, k, v and the
/// score's tensors (biases, temperatures, relative tables, sinks) through out and lse.
AttentionResult attention(const Tensor& q, const Tensor& k, const Tensor& v,
                          const AttentionSpec& spec);

/// The same on one packed tensor [B, N, (H + 2 Hkv) D] holding q, k, v of each token; returns [B,
/// N, H D]. The gradient is written straight into one packed tensor. Differentiable in qkv and the
/// score's tensors.
Tensor attention_qkv(const Tensor& qkv, int64_t heads, int64_t kv_heads, const AttentionSpec& spec);

/// Rotary position embedding (Su et al. 2021): rotates pairs of x [B, H, N, D] by position *
/// base^(-2i/d) over the first `rotary_dim` features (all when 0). positions [N] or [B, N] i64.
struct RotaryOptions {
  double base = 10000.0;
  int64_t rotary_dim = 0;
  bool interleaved = false;  ///< pairs (2i, 2i+1) instead of the half-split (i, i + d/2)
};
Tensor rotary(const Tensor& x, const Tensor& positions, const RotaryOptions& options = {});
/// The same on the q and k parts of a packed tensor.
Tensor rotary_qkv(const Tensor& qkv, int64_t heads, int64_t kv_heads, const Tensor& positions,
                  const RotaryOptions& options = {});

}  // namespace heed
