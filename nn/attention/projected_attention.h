// The frame that most mechanisms share: one fused projection to queries, keys and values, optional
// normalisation of each head, optional rotation by position, and the projection back.
#pragma once

#include "autograd/ops/attention.h"
#include "nn/attention/mechanism.h"
#include "nn/layers/linear.h"
#include "nn/layers/rms_norm.h"

namespace heed::nn {

/// Queries, keys and values by head; q [B, H, N, D], k and v [B, Hkv, M, D].
struct Heads {
  Tensor q, k, v;
};

/// Grouped keys or values [B, Hkv, N, D] -> [B, H, N, D]: each head once for every query head of
/// its group, for mechanisms that know no groups.
Tensor repeat_heads(const Tensor& x, int64_t heads);

class ProjectedAttention : public AttentionMechanism {
 public:
  explicit ProjectedAttention(const AttentionHost& host);

 protected:
  /// x [B, N, C] -> q, k, v of each token in one tensor [B, N, (H + 2 Hkv) D], rotated. Needs a
  /// host without qk_norm (per_head() is false).
  Tensor project_packed(const Tensor& x, const AttentionContext& context);
  /// The same by head, normalised and rotated.
  Heads project_tokens(const Tensor& x, const AttentionContext& context);
  /// x [B, N, C] -> q [B, N, H D], k and v [B, N, Hkv D] of this rank's heads, and the heads of
  /// those: in two steps, for mechanisms that read the projection before it is rotated.
  std::vector<Tensor> own_parts(const Tensor& x);
  Heads heads_of(const std::vector<Tensor>& parts, const Tensor& x,
                 const AttentionContext& context);
  /// The same; keys and values of a cache come first.
  Heads project(const Tensor& x, const AttentionContext& context);
  /// Tokens of the sequence that x holds, or that ranks share.
  int64_t whole_tokens(const Tensor& x) const;
  /// Whether heads must be taken apart before attention.
  bool per_head(const AttentionContext& context) const {
    return host_.qk_norm || context.cache != nullptr || context.lengths.defined() ||
           context.bias.defined() || token_split() != nullptr;
  }
  /// Attention of x's tokens, over those of all ranks where they share them: [B, H, N, D].
  Tensor attended(const Heads& heads, const AttentionSpec& how) const;
  /// Projects x, attends, with a cache over all of its keys and values, and projects back. A cache
  /// forgets what no later token sees by `span`.
  Tensor attend(const Tensor& x, const AttentionContext& context, const AttentionSpec& how,
                const KeySpan& span = {});
  /// The same from x's heads.
  Tensor attend(const Heads& heads, const AttentionContext& context, const AttentionSpec& how,
                const KeySpan& span = {});
  /// [B, H, N, D] -> out projection of [B, N, H D].
  Tensor merge(const Tensor& heads);
  /// Causality (with the cache's offset), the context's pairs, ALiBi and dropout as the host wants
  /// them.
  AttentionSpec spec(const Tensor& x, const AttentionContext& context) const;
  /// With the context's biases of the scores and lengths of the batch's rows.
  static AttentionSpec with_context(AttentionSpec how, const AttentionContext& context);
  double projection_flops(int64_t tokens) const;
  /// Of scores and sums over all pairs, or over those of a token and its past.
  double attention_flops(int64_t tokens) const;
  /// What a mechanism's split_heads begins with: keeps this rank's heads of the projections, and
  /// those of the host.
  void split_projections(const TensorSplitPointer& split);
  /// This rank's part of a parameter whose dimension `dim` is the host's heads, before or after the
  /// split.
  Shard heads_shard(const TensorSplit& split, int dim) const {
    return split.shard(dim, {all_heads_});
  }
  /// The first of the host's heads among all ranks'.
  int64_t first_head() const { return first_head_; }
  /// Throws where a cache cannot be used.
  void check_cache() const;

  const AttentionHost& host() const { return host_; }
  /// [N] i64: of x's tokens.
  Tensor positions(const Tensor& x, const AttentionContext& context) const;

  Linear qkv, out;
  RmsNorm q_norm, k_norm;

 private:
  RotaryOptions rotation() const;
  /// What this rank's matrices make of x: of a key and value head that ranks share, a part.
  Tensor projected(const Tensor& x);

  AttentionHost host_;
  int64_t first_head_ = 0, all_heads_;
  int64_t sharers_ = 1;  // ranks that have a key and value head together
};

}  // namespace heed::nn
