// One attention problem: sizes, the plan of its pattern, its score, the rows of strided tensors.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/tensor.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/scores.h"
#include "kernels/attention/tile_plan.h"

namespace heed::kernels::attn {

/// The extents of an attention problem; `group` query heads share one key/value head.
struct Extents {
  int64_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0, head_dim = 0, value_dim = 0;
  int64_t group() const { return heads / kv_heads; }
};

/// A [B, H, N, D] view whose rows are contiguous.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t batch_stride = 0, head_stride = 0, row_stride = 0;

  Rows() = default;
  explicit Rows(const Tensor& t)
      : data(t.data<T>()),
        batch_stride(t.stride(0)),
        head_stride(t.stride(1)),
        row_stride(t.stride(2)) {}
  /// First row of (batch, head).
  T* head(int64_t b, int64_t h) const { return data + b * batch_stride + h * head_stride; }
};

/// The score of one query head: logit(i, j) = scale q_i.k_j - slope (i + offset - j).
struct HeadScore {
  double scale = 1.0;
  double slope = 0.0;

  HeadScore(const AttentionScore& score, const Extents& e, int64_t head)
      : scale(score.scale != 0.0 ? score.scale : 1.0 / std::sqrt(static_cast<double>(e.head_dim))),
        slope(score.alibi.empty()
                  ? 0.0
                  : static_cast<double>(score.alibi_step) *
                        static_cast<double>(score.alibi[static_cast<size_t>(head)])) {}
};

/// Which probabilities of one (batch, head) survive dropout: a pure function of (key, b, h, i, j),
/// where i and j are slots of the plan, or tokens of the sequence that the problem is a part of.
/// The draw of (i, j) is word j % 4 of Philox block (i << 30) + j / 4 of the head's stream.
class DropoutMask {
 public:
  DropoutMask(const AttentionSpec& spec, int64_t b, int64_t h)
      : stream_(spec.dropout_key.derive(spec.dropout_row + static_cast<uint64_t>(b))
                    .derive(spec.dropout_head + static_cast<uint64_t>(h))),
        queries_(spec.dropout_queries),
        keys_(spec.dropout_keys),
        threshold_(static_cast<uint32_t>(std::min(std::ldexp(spec.dropout, 32), 4294967295.0))),
        keep_scale_(1.0 / (1.0 - spec.dropout)) {}

  /// Whether slot j survives in row i: its word is >= threshold().
  bool keeps(int64_t i, int64_t j) const {
    const int64_t key = keys_[j];
    const uint64_t block =
        (static_cast<uint64_t>(queries_[i]) << 30) + static_cast<uint64_t>(key / 4);
    return stream_.block(block)[static_cast<size_t>(key % 4)] >= threshold_;
  }
  /// What i and j count.
  const TokenRun& queries() const { return queries_; }
  const TokenRun& keys() const { return keys_; }
  const RandomStream& stream() const { return stream_; }
  uint32_t threshold() const { return threshold_; }
  /// 1 / (1 - p)
  double keep_scale() const { return keep_scale_; }

 private:
  RandomStream stream_;
  TokenRun queries_, keys_;
  uint32_t threshold_;
  double keep_scale_;
};

/// Whether this processor multiplies pairs of bf16 (AVX512_BF16).
bool has_pair_products();

/// One call: everything that forward and backward share.
struct Problem {
  Extents e;
  std::shared_ptr<const TilePlan> shared_plan;
  const TilePlan& plan;
  const AttentionSpec& spec;
  ScoreTensors tensors;
  bool pairs = has_pair_products();  ///< whether products of bf16 may use them

  Problem(const Extents& extents, const AttentionSpec& wanted, DType dtype)
      : e(extents),
        shared_plan(tile_plan(wanted.pattern, {e.batch, e.heads, e.queries, e.keys})),
        plan(*shared_plan),
        spec(wanted),
        tensors(wanted.score, e, dtype) {}

  template <class A>
  ScoreTerms<A> terms() const {
    return ScoreTerms<A>(spec.score, tensors);
  }
  /// Position of query 0 among the keys.
  int64_t offset() const { return spec.pattern.query_offset; }
  /// Keys of logit and value 0 in the row of query token i.
  int64_t virtual_keys(int64_t i) const {
    return spec.pattern.is_dense() ? 0 : spec.pattern.rule()->virtual_keys(i);
  }
  bool has_virtual_keys() const {
    return !spec.pattern.is_dense() && spec.pattern.rule()->has_virtual_keys();
  }
};

}  // namespace heed::kernels::attn
