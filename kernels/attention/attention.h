// Fused attention, forward and backward, with log-sum-exp.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"
#include "kernels/attention/pattern.h"

namespace heed {

/// Which entry of a table a pair looks up: map[key[j] - query[i]], or key[j] - query[i] itself
/// without a map; clamped to the table's entries.
struct RelativeIndex {
  std::vector<int32_t> query, key, map;
};

/// By j - (i + query_offset), clamped to [-reach, reach]: tables of 2 reach + 1 entries.
std::shared_ptr<const RelativeIndex> relative_positions(int64_t queries, int64_t keys,
                                                        int64_t reach, int64_t query_offset = 0);
/// `rest` behind `count` global tokens, pairs with which look up the table's last entry.
std::shared_ptr<const RelativeIndex> behind_globals(const RelativeIndex& rest, int64_t count);
/// By the offsets on a row-major grid, each within (-window, window): tables of prod(2 window - 1)
/// entries, first axis slowest (Swin, arXiv 2103.14030; NAT, arXiv 2204.07143), counted in steps of
/// the dilation. Pairs further apart than the window must not exist.
std::shared_ptr<const RelativeIndex> relative_grid(const std::vector<int64_t>& grid,
                                                   const std::vector<int64_t>& window,
                                                   const std::vector<int64_t>& dilation = {});
/// By the offset along one axis of a row-major grid alone, within (-window, window): tables of
/// 2 window - 1 entries.
std::shared_ptr<const RelativeIndex> relative_axis(const std::vector<int64_t>& grid, int axis,
                                                   int64_t window);
/// T5's buckets (arXiv 1910.10683, section 2.1): tables of `buckets` entries.
std::shared_ptr<const RelativeIndex> relative_buckets(int64_t queries, int64_t keys,
                                                      int64_t buckets, int64_t max_distance,
                                                      bool bidirectional, int64_t query_offset = 0);

/// Logits that each query holds for every relative offset, as q_i.r(offset) is: pair (i, j) looks
/// up logits[b, h, i, index(i, j)]. One product of q with a table makes them (HaloNet, arXiv
/// 2103.12731, one table an axis; Shaw et al., arXiv 1803.02155; Transformer-XL, arXiv 1901.02860).
struct RelativeLogits {
  Tensor logits = {};  ///< [B or 1, H or 1, N, entries]
  std::shared_ptr<const RelativeIndex> relative = {};
};

inline constexpr size_t kRelativeAxes = 3;

/// What happens between q.k and the softmax:
///   x     = scale query_temperature_i key_temperature_j q_i.k_j
///   logit = softcap tanh(x / softcap) + bias_ij + table[index(i, j)] - alibi (i + offset - j)
///           + sum over axes of relative_logits_i[index(i, j)]
/// and one more logit, the sink's, that takes a share of each row's probability and has no value:
/// one number a head, or one of each row (-infinity: none), such as the logarithm of what keys
/// that are not there would add to the row's sum.
struct AttentionScore {
  double scale = 0.0;             ///< 0 means 1/sqrt(D)
  std::vector<float> alibi = {};  ///< slope of each query head: adds -slope * (i + query_offset -
                                  ///< j) (Press et al. 2022); empty for none
  int64_t alibi_step = 1;         ///< tokens from one to the next, which multiply the slopes
  double softcap = 0.0;           ///< bound of the scores (Gemma 2, arXiv 2408.00118); 0: none
  Tensor query_temperature = {};  ///< [B or 1, H or 1, N]
  Tensor key_temperature = {};    ///< [B or 1, H or 1, M]
  Tensor bias = {};               ///< [B or 1, H or 1, N or 1, M or 1]
  Tensor table = {};              ///< [H or 1, entries], looked up by `relative`
  std::shared_ptr<const RelativeIndex> relative = {};
  std::array<RelativeLogits, kRelativeAxes> relative_logits = {};
  Tensor sink = {};  ///< [H], or [B or 1, H or 1, N or 1], logits
};

struct AttentionSpec {
  AttentionPattern pattern = {};
  AttentionScore score = {};
  double dropout = 0.0;  ///< on the probabilities; draws keyed by (key, b, h, i, j)
  RandomKey dropout_key = {};
  uint64_t dropout_row = 0;       ///< what b counts from, where the batch is part of a larger one
  uint64_t dropout_head = 0;      ///< what h counts from, where other ranks have the other heads
  TokenRun dropout_queries = {};  ///< the tokens that i counts, where they are part of a larger
  TokenRun dropout_keys = {};     ///< sequence, and those that j counts
};

namespace kernels {

struct AttentionOutput {
  Tensor out;  // [B, H, N, Dv], laid out [B, N, H, Dv]
  Tensor lse;  // [B, H, N]
};

AttentionOutput attention(const Tensor& q, const Tensor& k, const Tensor& v,
                          const AttentionSpec& spec);

/// Which tensors of the score want a gradient.
struct ScoreWants {
  bool query_temperature = false, key_temperature = false, bias = false, table = false,
       sink = false;
  std::array<bool, kRelativeAxes> relative_logits = {};
};

struct AttentionGradients {
  Tensor dq, dk, dv;
  /// Shaped as the score's tensors; f32 (f64 for f64).
  Tensor query_temperature = {}, key_temperature = {}, bias = {}, table = {}, sink = {};
  std::array<Tensor, kRelativeAxes> relative_logits = {};
};

/// `into` may hold tensors (strided views) that receive dq, dk, dv; undefined ones are allocated
/// laid out [B, N, H, D]. `dlse` may be undefined. A gradient that is not wanted stays undefined.
///
/// `forward` may be that of a larger attention of which these keys are a part (a ring's step, a
/// split): the part's gradients come from the whole's out, lse and their gradients. An undefined
/// forward.out stands for a row sum of dout * out that is 0 or already taken off dlse.
AttentionGradients attention_backward(const Tensor& dout, const Tensor& dlse, const Tensor& q,
                                      const Tensor& k, const Tensor& v,
                                      const AttentionOutput& forward, const AttentionSpec& spec,
                                      bool want_q, bool want_kv, AttentionGradients into = {},
                                      const ScoreWants& wants = {});

/// Pairs that the pattern holds, over all batches and heads.
int64_t attention_pairs(const AttentionPattern& pattern, const PatternExtents& extents);

}  // namespace kernels
}  // namespace heed
