// Differentiable fused attention: softmax(scale q k^T + score terms) v over the pairs of a pattern,
// with the log-sum-exp of each row, and without an N x N matrix in either direction.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "autograd/tape.h"
#include "kernels/attention/attention.h"
#include "kernels/position/rotary.h"

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

/// q.r(offset) of every query and offset, for AttentionScore::relative_logits: q [B, H, N, D],
/// table [entries, D] or [H, entries, D] -> [B, H, N, entries]. The score's scale does not apply to
/// them.
Tensor relative_logits(const Tensor& q, const Tensor& table);

/// Attentions of the same queries over disjoint keys as one: lse = log sum e^lse_p, out = sum of
/// factor_p e^(lse_p - lse) out_p. Factors (none: ones) weigh a part's probabilities after the
/// softmax, without renormalisation. Differentiable in every out and lse.
AttentionResult merge_attentions(const std::vector<AttentionResult>& parts,
                                 const std::vector<double>& factors = {});

/// sums[b, h, j] = sum_i weight[b, h, i] p_ij of the attention's probabilities before dropout, [B,
/// H, M] f32 (f64 for f64), without storing any of them. `lse` is that of `attention` on the same
/// q, k and spec; `weight` [B, H, N], undefined: ones. With one query these are its probabilities.
/// Differentiable in q, k, the weight and the score's tensors, the softmax included; not in lse.
Tensor attention_column_sums(const Tensor& q, const Tensor& k, const Tensor& lse,
                             const AttentionSpec& spec, const Tensor& weight = {});

/// sums[b, h, i, e] = sum of p_ij (after dropout) over the keys j with index(i, j) = e: [B, H, N,
/// entries] f32 (f64 for f64). matmul(sums, table) is what a table of values by relative offset
/// adds to the output (Shaw et al., arXiv 1803.02155, eq. 3). Differentiable like the column sums.
Tensor attention_bucket_sums(const Tensor& q, const Tensor& k, const Tensor& lse,
                             const AttentionSpec& spec,
                             const std::shared_ptr<const RelativeIndex>& index, int64_t entries);

/// Rotary position embedding (Su et al. 2021): rotates pairs of x [B, H, N, D] by position *
/// base^(-2i/d) over the first `rotary_dim` features (all when 0). positions [N] or [B, N] i64.
struct RotaryOptions {
  double base = 10000.0;
  int64_t rotary_dim = 0;
  bool interleaved = false;  ///< pairs (2i, 2i+1) instead of the half-split (i, i + d/2)
  kernels::RotaryScaling scaling = {};
};
Tensor rotary(const Tensor& x, const Tensor& positions, const RotaryOptions& options = {});
/// The same on the q and k parts of a packed tensor.
Tensor rotary_qkv(const Tensor& qkv, int64_t heads, int64_t kv_heads, const Tensor& positions,
                  const RotaryOptions& options = {});

}  // namespace heed
