// Fused attention, forward (FlashAttention-2, Dao 2023, arXiv 2307.08691, algorithm 1):
// for a block of 64 queries the keys pass by in tiles; each lane keeps the maximum m and the sum l
// of its logits so far, and O^T is rescaled when m grows.
//
//   S^T = K Q^T       m' = max(m, max_rows S^T)       P^T = 2^(S^T - m')
//   l = l 2^(m - m') + sum_rows P^T                   O^T = O^T 2^(m - m') + V^T P^T
//
// 4 N M D multiply-adds a head (half of it causal); Q, K, V and O are read or written once. Logits
// are kept in base 2. A task packs its keys and values once for all its query blocks, as f32 or,
// where the processor multiplies pairs of bf16, as these; tiles that the pattern's plan does not
// list are neither packed nor computed. P is rounded to bf16 for such products, its sum l is not.
#include <vector>

#include "kernels/attention/fused.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/fused_forward.cpp"
#include "kernels/simd.h"
// after simd.h
#include "core/parallel.h"
#include "kernels/attention/dropout-inl.h"
#include "kernels/attention/operands-inl.h"
#include "kernels/attention/score-inl.h"
#include "kernels/attention/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {
namespace {

/// A query block on its way through the keys.
struct ForwardBlock {
  QueryBlock block;
  LogitTerms terms;
  DropoutMask mask;
  TileView tile;
  TileCursor cursor;
  float *q_t, *out_t, *max, *sum, *positions;
  LaneScores lanes;
};

struct ForwardBuffers {
  int64_t each;                 // numbers of a word
  size_t words;                 // of a key
  size_t depth, value_depth;    // padded words, padded value_dim
  size_t stride, value_stride;  // of packed rows
  float *keys, *values, *rows, *scores, *paired, *q_t, *out_t, *max, *sum, *positions;
  Scratch scratch;

  ForwardBuffers(const Extents& e, int64_t tile_keys, int64_t numbers_each)
      : each(numbers_each),
        words(static_cast<size_t>((e.head_dim + each - 1) / each)),
        depth(padded(static_cast<int64_t>(words))),
        value_depth(padded(e.value_dim)),
        stride(row_stride(static_cast<int64_t>(words))),
        value_stride(row_stride(e.value_dim)),
        scratch({{&keys, padded(tile_keys) * stride},
                 {&values, padded(tile_keys) / static_cast<size_t>(each) * value_stride},
                 {&rows, kQueries * std::max(stride, value_stride)},
                 {&scores, kKeys * kQueries},
                 {&paired, each > 1 ? size_t{kKeys * kQueries / 2} : 0},
                 {&q_t, kBlocksAtOnce * kQueries * depth},
                 {&out_t, kBlocksAtOnce * kQueries * value_depth},
                 {&max, kBlocksAtOnce * kQueries},
                 {&sum, kBlocksAtOnce * kQueries},
                 {&positions, kBlocksAtOnce * kQueries}}) {}
};

/// Logits of column w to probabilities relative to the lanes' new maximum; rescales O^T.
HWY_INLINE void softmax_column(const ForwardBlock& f, float factor, int w, size_t value_depth,
                               float* scores) {
  float* column = scores + w * kLanes;
  const V old_max = hn::Load(kF, f.max + w * kLanes), by = hn::Set(kF, factor);
  V top = hn::Neg(hn::Inf(kF)), top2 = top;
  f.tile.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
    int64_t r = begin;
    for (; r + 2 <= end; r += 2) {
      top = hn::Max(top, hn::Load(kF, column + r * kQueries));
      top2 = hn::Max(top2, hn::Load(kF, column + (r + 1) * kQueries));
    }
    if (r < end) top = hn::Max(top, hn::Load(kF, column + r * kQueries));
  });
  const V max = hn::Max(old_max, hn::Mul(by, hn::Max(top, top2)));
  V sum = hn::Zero(kF);
  f.tile.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r) {
      float* at = column + r * kQueries;
      const V p = exp2(hn::MulSub(hn::Load(kF, at), by, max));
      sum = hn::Add(sum, p);
      hn::Store(p, kF, at);
    }
  });
  const V rescale = exp2(hn::Sub(old_max, max));
  hn::Store(max, kF, f.max + w * kLanes);
  hn::Store(hn::MulAdd(hn::Load(kF, f.sum + w * kLanes), rescale, sum), kF, f.sum + w * kLanes);
  if (hn::AllTrue(kF, hn::Eq(rescale, hn::Set(kF, 1.0f)))) return;
  for (size_t d = 0; d < value_depth; ++d) {
    float* at = f.out_t + d * kQueries + static_cast<size_t>(w * kLanes);
    hn::Store(hn::Mul(rescale, hn::Load(kF, at)), kF, at);
  }
}

HWY_INLINE void drop_column(const TileView& t, const TileDropout& dropout, int w, float* scores) {
  t.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; r += 4) {
      dropout.for_keys(t.first_key + r, [&](int64_t i, auto kept) HWY_ATTR {
        float* at = scores + (r + i) * kQueries + w * kLanes;
        hn::Store(hn::IfThenElseZero(kept, hn::Load(kF, at)), kF, at);
      });
    }
  });
}

/// T: of the tensors; P: Singles or Pairs.
template <class T, class P>
class ForwardTask {
 public:
  ForwardTask(const Problem& p, const ScoreTerms<float>& terms, const Task& task, const Tensor& q,
              const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& lse)
      : p_(p),
        task_(task),
        b_(task.b),
        scores_(p, terms, task.b),
        q_(q),
        k_(k),
        v_(v),
        out_(out),
        lse_(lse.data<float>()),
        x_(p.e, std::min(task.keys(), p.e.keys), P::kEach),
        packed_(static_cast<size_t>(task.last_tile - task.first_tile), false) {
    blocks_.reserve(kBlocksAtOnce);
  }

  void run() {
    for (int64_t first = task_.begin; first < task_.end; first += kBlocksAtOnce) {
      blocks_.clear();
      for (int64_t i = first; i < std::min(first + kBlocksAtOnce, task_.end); ++i) start(i);
      for (;;) {
        int32_t tile = TileCursor::kEnd;
        for (const ForwardBlock& f : blocks_) tile = std::min(tile, f.cursor.tile());
        if (tile == TileCursor::kEnd) break;
        pack(tile);
        for (ForwardBlock& f : blocks_) {
          if (f.cursor.tile() == tile) pass_tile(f, tile);
        }
      }
      for (const ForwardBlock& f : blocks_) finish(f);
    }
  }

 private:
  void start(int64_t i) {
    const Extents& e = p_.e;
    const QueryBlock block(e, task_.kv_head, i);
    const size_t at = blocks_.size();
    blocks_.push_back({block,
                       LogitTerms(HeadScore(p_.spec.score, e, block.head)),
                       DropoutMask(p_.spec, b_, block.head),
                       TileView(block),
                       TileCursor(p_.plan.runs(b_, block.head, block.index)),
                       x_.q_t + at * kQueries * x_.depth,
                       x_.out_t + at * kQueries * x_.value_depth,
                       x_.max + at * kQueries,
                       x_.sum + at * kQueries,
                       x_.positions + at * kQueries,
                       {}});
    ForwardBlock& f = blocks_.back();
    pack_queries<P>(Tokens<T>{q_.head(b_, block.head), q_.row_stride, p_.plan.query_order(),
                              block.first, block.rows},
                    e.head_dim, f.terms.sign, x_.rows, f.q_t, nullptr);
    std::fill_n(f.max, kQueries, -hwy::HighestValue<float>());
    std::fill_n(f.sum, kQueries, 0.0f);
    std::fill_n(f.out_t, kQueries * x_.value_depth, 0.0f);
    lane_positions(p_, block, f.positions);
    if (scores_.active()) scores_.start(block, f.lanes);
    if (scores_.terms().sink || p_.has_virtual_keys()) start_valueless(f);
  }

  /// The sink and virtual keys come before all others.
  void start_valueless(const ForwardBlock& f) {
    for (int64_t l = 0; l < f.block.rows; ++l) {
      const int64_t i = p_.plan.query_token(f.block.first + l);
      const float logit = valueless_logit(scores_.terms(), b_, f.block.head, i, p_.virtual_keys(i));
      if (std::isinf(logit)) continue;
      f.max[l] = logit * kLog2E;
      f.sum[l] = 1.0f;
    }
  }

  void pack(int32_t tile) {
    const auto at = static_cast<size_t>(tile - task_.first_tile);
    if (packed_[at]) return;
    packed_[at] = true;
    const int64_t first = tile * kKeys, count = std::min(kKeys, p_.e.keys - first);
    const auto tokens = [&](const Rows<const T>& rows) {
      return Tokens<T>{rows.head(b_, task_.kv_head), rows.row_stride, p_.plan.key_order(), first,
                       count};
    };
    P::pack_along(tokens(k_), p_.e.head_dim, keys_of(at), x_.stride, padded(count));
    P::pack_across(tokens(v_), p_.e.value_dim, values_of(at), x_.value_stride, padded(count));
  }

  /// The packed rows of a tile, counted from the task's first.
  float* keys_of(size_t tile) const { return x_.keys + tile * kKeys * x_.stride; }
  float* values_of(size_t tile) const {
    return x_.values + tile * (kKeys / P::kEach) * x_.value_stride;
  }

  void pass_tile(ForwardBlock& f, int32_t tile) {
    TileView& t = f.tile;
    t.move_to(p_.plan, p_.e.keys, tile, f.cursor.mask());
    f.cursor.advance();
    const auto at = static_cast<size_t>(tile - task_.first_tile);
    score_products<P>(t, keys_of(at), x_.stride, f.q_t, x_.words, x_.scores);
    const bool more = scores_.active();
    if (more) scores_.logits(t, f.terms, f.block, f.lanes, f.positions, x_.scores, nullptr);
    for (int w = 0; w < t.vectors; ++w) {
      const float factor =
          more ? 1.0f : finish_logits(t, p_.plan, f.terms, f.positions, w, x_.scores);
      softmax_column(f, factor, w, x_.value_depth, x_.scores);
      if (p_.spec.dropout > 0.0)
        drop_column(t, TileDropout(f.mask, f.block.first, w), w, x_.scores);
    }
    weighted_rows<P>(t, values_of(at), x_.value_stride, x_.value_depth,
                     P::across(t, x_.scores, x_.paired), f.out_t);
  }

  /// O^T / l to rows of `out`, and the log-sum-exp in base e.
  void finish(const ForwardBlock& f) {
    const V keep_scale = hn::Set(kF, static_cast<float>(f.mask.keep_scale()));
    for (int w = 0; w < f.tile.vectors; ++w) {
      const V sum = hn::Load(kF, f.sum + w * kLanes), max = hn::Load(kF, f.max + w * kLanes);
      const auto empty = hn::Eq(sum, hn::Zero(kF));
      const V inverse = hn::IfThenZeroElse(empty, hn::Div(keep_scale, sum));
      for (size_t d = 0; d < x_.value_depth; ++d) {
        float* at = f.out_t + d * kQueries + static_cast<size_t>(w * kLanes);
        hn::Store(hn::Mul(inverse, hn::Load(kF, at)), kF, at);
      }
      const V log = hn::MulAdd(max, hn::Set(kF, 0.693147181f), simd::HWY_NAMESPACE::log(kF, sum));
      hn::Store(hn::IfThenElse(empty, hn::Neg(hn::Inf(kF)), log), kF, f.sum + w * kLanes);
    }
    const Extents& e = p_.e;
    float* lse = lse_ + (b_ * e.heads + f.block.head) * e.queries;
    for (int64_t l = 0; l < f.block.rows; ++l)
      lse[p_.plan.query_token(f.block.first + l)] = f.sum[l];
    transpose(f.out_t, kQueries, x_.value_depth, static_cast<size_t>(f.tile.vectors * kLanes),
              x_.rows, x_.value_stride);
    unpack_tokens(x_.rows, x_.value_stride, f.block.rows, e.value_dim, 1.0f,
                  out_.head(b_, f.block.head), out_.row_stride, p_.plan.query_order(),
                  f.block.first);
  }

  const Problem& p_;
  Task task_;
  int64_t b_;
  TileScores scores_;
  Rows<const T> q_, k_, v_;
  Rows<T> out_;
  float* lse_;
  ForwardBuffers x_;
  std::vector<bool> packed_;  // tiles
  std::vector<ForwardBlock> blocks_;
};

void forward(const Problem& p, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
             const Tensor& lse) {
  const Tasks tasks(p.e, p.plan, kForwardTasks, kBlocksAtOnce);
  const auto terms = p.terms<float>();
  parallel_for(tasks.count(), 1, [&](int64_t index, int64_t) {
    const Task& task = tasks.list[static_cast<size_t>(index)];
    if (q.dtype() != DType::bf16)
      ForwardTask<float, Singles>(p, terms, task, q, k, v, out, lse).run();
    else if (kCompilesPairs && p.pairs)
      ForwardTask<bfloat16, Pairs>(p, terms, task, q, k, v, out, lse).run();
    else
      ForwardTask<bfloat16, Singles>(p, terms, task, q, k, v, out, lse).run();
  });
}

}  // namespace
}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels::attn {

HWY_EXPORT(forward);

void fused_forward(const Problem& problem, const Tensor& q, const Tensor& k, const Tensor& v,
                   const Tensor& out, const Tensor& lse) {
  HWY_DYNAMIC_DISPATCH(forward)(problem, q, k, v, out, lse);
}

}  // namespace heed::kernels::attn
#endif
