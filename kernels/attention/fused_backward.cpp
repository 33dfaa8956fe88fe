// Fused attention, backward (FlashAttention-2, arXiv 2307.08691, algorithm 2): tiles of
// probabilities are recomputed from the log-sum-exp. For a block of 64 queries and a tile of keys:
//
//   P^T  = 2^(K Q^T - lse)                 dV   += P^T dO
//   dS^T = P^T * (V dO^T - delta)          dK   += dS^T Q
//   delta = rowsum(dO * O) - dlse          dQ^T += K^T dS^T
//
// 10 N M D multiply-adds a head (half of it causal). A task owns the query blocks of one slice of
// one (batch, key/value head); it accumulates dK and dV over them in f32. With one slice, as with
// enough heads, these are final; more slices are added up in their order afterwards. Where the
// processor multiplies pairs of bf16, P and dS are rounded to bf16 for the last three products.
#include <vector>

#include "kernels/attention/fused.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/fused_backward.cpp"
#include "kernels/simd.h"
// after simd.h
#include "core/parallel.h"
#include "kernels/attention/backward_block-inl.h"
#include "kernels/attention/score_gradients-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {
namespace {

/// `rows` rows of f32 from slot `first` on to the tokens of one key/value head.
template <class T>
void store_rows(const float* from, size_t stride, const TilePlan& plan, const Tensor& to, int64_t b,
                int64_t h, int64_t first, int64_t rows, double factor) {
  const Rows<T> out(to);
  unpack_tokens(from, stride, rows, to.size(3), static_cast<float>(factor), out.head(b, h),
                out.row_stride, plan.key_order(), first);
}

/// Zeros for keys that no task sees.
template <class T>
void clear_rows(const TilePlan& plan, const Tensor& to, int64_t b, int64_t h, int64_t first,
                int64_t last) {
  const Rows<T> out(to);
  for (int64_t slot = first; slot < last; ++slot)
    std::fill_n(out.head(b, h) + plan.key_token(slot) * out.row_stride, to.size(3), T{});
}

/// The factors of dK (the sign is in the packed queries) and dV that tiles leave out.
double key_factor(const Problem& p) { return std::abs(HeadScore(p.spec.score, p.e, 0).scale); }
double value_factor(const Problem& p) { return 1.0 / (1.0 - p.spec.dropout); }

/// T: of the tensors; P: Singles or Pairs.
template <class T, class P>
class BackwardTask {
 public:
  BackwardTask(const BackwardCall& c, int64_t index)
      : c_(c),
        e_(c.p.e),
        plan_(c.p.plan),
        index_(index),
        task_(c.tasks.list[static_cast<size_t>(index)]),
        b_(task_.b),
        scores_(c.p, c.terms, task_.b),
        keys_(std::min(task_.keys(), e_.keys - task_.first_key())),
        x_(e_, keys_, P::kEach, c.tasks.slices == 1 && c.grads.dk.defined()),
        gradients_(c, index, scores_, x_),
        packed_(static_cast<size_t>(task_.last_tile - task_.first_tile), false) {
    blocks_.reserve(kBlocksAtOnceBackward);
  }

  void run() {
    start_sums();
    for (int64_t first = task_.begin; first < task_.end; first += kBlocksAtOnceBackward) {
      blocks_.clear();
      for (int64_t i = first; i < std::min(first + kBlocksAtOnceBackward, task_.end); ++i) start(i);
      for (;;) {
        int32_t tile = TileCursor::kEnd;
        for (const BackwardBlock& f : blocks_) tile = std::min(tile, f.cursor.tile());
        if (tile == TileCursor::kEnd) break;
        pack(tile);
        for (BackwardBlock& f : blocks_) {
          if (f.cursor.tile() == tile) pass_tile(f, tile);
        }
      }
      for (const BackwardBlock& f : blocks_) finish(f);
    }
    if (c_.tasks.slices > 1 || !c_.grads.dk.defined()) return;
    const int64_t first = task_.first_key(), last = first + keys_;
    store_rows<T>(x_.dk, x_.stride, plan_, c_.grads.dk, b_, task_.kv_head, first, keys_,
                  key_factor(c_.p));
    store_rows<T>(x_.dv, x_.value_stride, plan_, c_.grads.dv, b_, task_.kv_head, first, keys_,
                  value_factor(c_.p));
    for (const Tensor* to : {&c_.grads.dk, &c_.grads.dv}) {
      clear_rows<T>(plan_, *to, b_, task_.kv_head, 0, first);
      clear_rows<T>(plan_, *to, b_, task_.kv_head, last, e_.keys);
    }
  }

 private:
  void start_sums() {
    if (!c_.grads.dk.defined()) return;
    if (c_.tasks.slices > 1) {
      const auto at = static_cast<size_t>(c_.partial_rows[static_cast<size_t>(index_)]);
      x_.dk = c_.dk_partial.data<float>() + at * x_.stride;
      x_.dv = c_.dv_partial.data<float>() + at * x_.value_stride;
    }
    std::fill_n(x_.dk, padded(keys_) * x_.stride, 0.0f);
    std::fill_n(x_.dv, padded(keys_) * x_.value_stride, 0.0f);
  }

  void pack(int32_t tile) {
    const auto at = static_cast<size_t>(tile - task_.first_tile);
    if (packed_[at]) return;
    packed_[at] = true;
    const int64_t first = tile * kKeys, count = std::min(kKeys, e_.keys - first);
    const auto tokens = [&](const Rows<const T>& rows) {
      return Tokens<T>{rows.head(b_, task_.kv_head), rows.row_stride, plan_.key_order(), first,
                       count};
    };
    const Tokens<T> keys = tokens(Rows<const T>(c_.k));
    const size_t rows = padded(count);
    P::pack_along(keys, e_.head_dim, keys_of(at), x_.key.stride, rows);
    if (P::kEach > 1 && c_.grads.dq.defined())
      P::pack_across(keys, e_.head_dim, keys_across(at), x_.stride, rows);
    P::pack_along(tokens(Rows<const T>(c_.v)), e_.value_dim, values_of(at), x_.value.stride, rows);
  }

  /// The packed rows of a tile, counted from the task's first.
  float* keys_of(size_t tile) const { return x_.keys + tile * kKeys * x_.key.stride; }
  float* keys_across(size_t tile) const {
    return P::kEach == 1 ? keys_of(tile) : x_.keys_across + tile * (kKeys / P::kEach) * x_.stride;
  }
  float* values_of(size_t tile) const { return x_.values + tile * kKeys * x_.value.stride; }

  void start(int64_t i) {
    const QueryBlock block(e_, task_.kv_head, i);
    const size_t at = blocks_.size() * kQueries;
    blocks_.push_back({block,
                       LogitTerms(HeadScore(c_.p.spec.score, e_, block.head)),
                       DropoutMask(c_.p.spec, b_, block.head),
                       TileView(block),
                       TileCursor(plan_.runs(b_, block.head, block.index)),
                       x_.q + at / P::kEach * x_.stride,
                       x_.q_t + at * x_.key.depth,
                       x_.dout + at / P::kEach * x_.value_stride,
                       x_.dout_t + at * x_.value.depth,
                       x_.dq_t + at * x_.depth,
                       x_.lse + at,
                       x_.delta + at,
                       x_.positions + at,
                       {},
                       {},
                       {},
                       {},
                       {}});
    BackwardBlock& f = blocks_.back();
    std::fill_n(f.least, kQueries, std::numeric_limits<float>::infinity());
    std::fill_n(f.largest, kQueries, -std::numeric_limits<float>::infinity());
    const Rows<const T> q(c_.q), dout(c_.dout);
    const Rows<const T> out =
        c_.forward.out.defined() ? Rows<const T>(c_.forward.out) : Rows<const T>();
    const auto tokens = [&](const Rows<const T>& rows) {
      return Tokens<T>{rows.head(b_, block.head), rows.row_stride, plan_.query_order(), block.first,
                       block.rows};
    };
    pack_queries<P>(tokens(q), e_.head_dim, f.terms.sign, x_.rows, f.q_t, f.q);
    pack_queries<P>(tokens(dout), e_.value_dim, 1.0f, x_.rows, f.dout_t, f.dout);
    const int64_t row = (b_ * e_.heads + block.head) * e_.queries;
    row_statistics(f, plan_, tokens(dout), out.head(b_, block.head), out.row_stride,
                   c_.forward.lse.data<float>() + row,
                   c_.dlse.defined() ? c_.dlse.data<float>() + row : nullptr, e_.value_dim);
    lane_positions(c_.p, block, f.positions);
    if (scores_.active()) scores_.start(block, f.lanes);
    if (c_.walk.index.relative) scores_.start_rows(block, c_.walk.index, f.lanes.buckets);
    std::fill_n(f.dq_t, kQueries * x_.depth, 0.0f);
  }

  void pass_tile(BackwardBlock& f, int32_t tile) {
    TileView& t = f.tile;
    t.move_to(plan_, e_.keys, tile, f.cursor.mask());
    f.cursor.advance();
    const auto at = static_cast<size_t>(tile - task_.first_tile);
    score_products<P>(t, keys_of(at), x_.key.stride, f.q_t, x_.key.words, x_.p);
    const bool more = scores_.active();
    if (more) {
      std::copy_n(x_.p, kKeys * kQueries, x_.raw);
      scores_.logits(t, f.terms, f.block, f.lanes, f.positions, x_.p, x_.slopes);
    }
    if (c_.walk.row_least) return gradients_.find_range(f, more);
    score_products<P>(t, values_of(at), x_.value.stride, f.dout_t, x_.value.words, x_.ds);
    if (c_.walk.changes_values()) gradients_.change_value_products(f);
    for (int w = 0; w < t.vectors; ++w) {
      const float factor = more ? 1.0f : finish_logits(t, plan_, f.terms, f.positions, w, x_.p);
      if (c_.p.spec.dropout > 0.0)
        dropped_gradient_column(f, factor, w, x_);
      else
        gradient_column(f, factor, w, x_);
      clear_padding(t, w, x_);
      if (more) gradients_.add_column(f, w);
    }
    gradients_.add_by_pair(f);
    if (c_.walk.key_sums || c_.walk.row_sums) gradients_.add_key_and_row_sums(f);
    if (more) gradients_.to_product_gradients(f);
    if (c_.grads.dk.defined()) add_key_gradients(f, at);
    if (c_.grads.dq.defined())
      weighted_rows<P>(t, keys_across(at), x_.stride, x_.depth, P::across(t, x_.ds, x_.paired_ds),
                       f.dq_t);
  }

  /// dV += P^T dO, dK += dS^T Q; `tile`: counted from the task's first.
  void add_key_gradients(const BackwardBlock& f, size_t tile) {
    const float* p = P::along(f.tile, x_.p, x_.paired_p);
    const float* ds = P::along(f.tile, x_.ds, x_.paired_ds);
    constexpr size_t kRowWords = kQueries / P::kEach;
    f.tile.for_rects([&](int64_t row, int64_t rows, int w, int n) {
      const size_t to = tile * kKeys + static_cast<size_t>(row);
      const size_t first = words<P>(w * kLanes), lanes = words<P>(n * kLanes);
      const size_t from = static_cast<size_t>(row) * kRowWords + first;
      product<P, true>(static_cast<size_t>(rows), static_cast<int>(x_.value_depth) / kLanes, lanes,
                       {p + from, kRowWords, 1}, f.dout + first * x_.value_stride, x_.value_stride,
                       x_.dv + to * x_.value_stride, x_.value_stride);
      product<P, true>(static_cast<size_t>(rows), static_cast<int>(x_.depth) / kLanes, lanes,
                       {ds + from, kRowWords, 1}, f.q + first * x_.stride, x_.stride,
                       x_.dk + to * x_.stride, x_.stride);
    });
  }

  /// dQ^T, times the scale, to rows of dq.
  void finish(const BackwardBlock& f) {
    gradients_.store_rows(f);
    if (!c_.grads.dq.defined()) return;
    const Rows<T> dq(c_.grads.dq);
    transpose(f.dq_t, kQueries, x_.depth, static_cast<size_t>(f.tile.vectors * kLanes), x_.rows,
              x_.stride);
    unpack_tokens(x_.rows, x_.stride, f.block.rows, e_.head_dim,
                  static_cast<float>(HeadScore(c_.p.spec.score, e_, f.block.head).scale),
                  dq.head(b_, f.block.head), dq.row_stride, plan_.query_order(), f.block.first);
  }

  const BackwardCall& c_;
  const Extents& e_;
  const TilePlan& plan_;
  int64_t index_;
  Task task_;
  int64_t b_;
  TileScores scores_;
  int64_t keys_;
  BackwardBuffers x_;
  ScoreGradients gradients_;
  std::vector<bool> packed_;  // tiles
  std::vector<BackwardBlock> blocks_;
};

/// The sums of one pair's tasks over a range of keys (slots), in the order of tasks.
template <class T>
void store_sums(const BackwardCall& c, const Tensor& partial, const Tensor& to, int64_t pair,
                int64_t first, int64_t last, double factor) {
  const int64_t b = pair / c.p.e.kv_heads, hk = pair % c.p.e.kv_heads;
  const auto stride = static_cast<size_t>(partial.size(1));
  std::vector<float> sum(static_cast<size_t>(last - first) * stride, 0.0f);
  for (int64_t s = 0; s < c.tasks.slices; ++s) {
    const auto index = static_cast<size_t>(pair * c.tasks.slices + s);
    const Task& task = c.tasks.list[index];
    const int64_t from = std::max(first, task.first_key());
    const int64_t end = std::min(last, task.first_key() + task.keys());
    if (from >= end) continue;
    const float* more =
        partial.data<float>() +
        static_cast<size_t>(c.partial_rows[index] + from - task.first_key()) * stride;
    float* into = sum.data() + static_cast<size_t>(from - first) * stride;
    for (size_t i = 0; i < static_cast<size_t>(end - from) * stride; i += kLanes)
      hn::StoreU(hn::Add(hn::LoadU(kF, into + i), hn::LoadU(kF, more + i)), kF, into + i);
  }
  store_rows<T>(sum.data(), stride, c.p.plan, to, b, hk, first, last - first, factor);
}

template <class T, class P>
void backward_as(const BackwardCall& c) {
  const int64_t chains =
      c.sums.chain.empty() ? 0 : *std::max_element(c.sums.chain.begin(), c.sums.chain.end()) + 1;
  parallel_for(chains, 1, [&](int64_t chain, int64_t) {
    for (int64_t i = 0; i < c.tasks.count(); ++i)
      if (c.sums.chain[static_cast<size_t>(i)] == chain) BackwardTask<T, P>(c, i).run();
  });
  if (!c.dk_partial.defined()) return;
  constexpr int64_t kRows = 4 * kKeys;
  const int64_t parts = (c.p.e.keys + kRows - 1) / kRows;
  parallel_for(c.p.e.batch * c.p.e.kv_heads * parts, 1, [&](int64_t i, int64_t) {
    const int64_t pair = i / parts, first = i % parts * kRows;
    const int64_t last = std::min(first + kRows, c.p.e.keys);
    store_sums<T>(c, c.dk_partial, c.grads.dk, pair, first, last, key_factor(c.p));
    store_sums<T>(c, c.dv_partial, c.grads.dv, pair, first, last, value_factor(c.p));
  });
}

void backward(const BackwardCall& call) {
  if (call.q.dtype() != DType::bf16)
    backward_as<float, Singles>(call);
  else if (kCompilesPairs && call.p.pairs)
    backward_as<bfloat16, Pairs>(call);
  else
    backward_as<bfloat16, Singles>(call);
}

}  // namespace
}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels::attn {

HWY_EXPORT(backward);

void fused_backward(const Problem& problem, const Tensor& dout, const Tensor& dlse, const Tensor& q,
                    const Tensor& k, const Tensor& v, const AttentionOutput& forward,
                    const AttentionGradients& grads, const PairWalk<float>& walk) {
  const Extents& e = problem.e;
  const auto terms = problem.terms<float>();
  const Tasks tasks(e, problem.plan, shares_bias(problem, terms, grads) ? 1 : 8, 4);
  BackwardCall call{problem, dout,  dlse,  q,  k,  v,  forward,
                    grads,   terms, tasks, {}, {}, {}, ScoreSums(problem, terms, tasks, grads),
                    walk};
  if (walk.key_sums)
    call.sums.columns = Tensor::zeros({tasks.count(), e.group(), e.keys}, DType::f32);
  if (tasks.slices > 1 && grads.dk.defined()) {
    int64_t rows = 0;
    for (const Task& task : tasks.list) {
      call.partial_rows.push_back(rows);
      rows += task.keys();
    }
    call.dk_partial = Tensor::empty({rows, static_cast<int64_t>(row_stride(e.head_dim))});
    call.dv_partial = Tensor::empty({rows, static_cast<int64_t>(row_stride(e.value_dim))});
  }
  HWY_DYNAMIC_DISPATCH(backward)(call);
  call.sums.finish(terms, tasks, grads);
  if (walk.key_sums) call.sums.add_columns(tasks, e, walk.key_sums);
}

}  // namespace heed::kernels::attn
#endif
