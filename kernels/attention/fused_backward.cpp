// Fused attention, backward (FlashAttention-2, arXiv 2307.08691, algorithm 2): tiles of
// probabilities are recomputed from the log-sum-exp. For a block of 64 queries and a tile of keys:
//
//   P^T  = 2^(K Q^T - lse)                 dV   += P^T dO
//   dS^T = P^T * (V dO^T - delta)          dK   += dS^T Q
//   delta = rowsum(dO * O) - dlse          dQ^T += K^T dS^T
//
// 10 N M D multiply-adds a head (half of it causal). A task owns the query blocks of one slice of
// one (batch, key/value head); it accumulates dK and dV over them in f32. With one slice, as with
// enough heads, these are final; more slices are added up in their order afterwards.
#include <vector>

#include "kernels/attention/fused.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/fused_backward.cpp"
#include "kernels/simd.h"
// after simd.h
#include "core/parallel.h"
#include "kernels/attention/dropout-inl.h"
#include "kernels/attention/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {
namespace {

/// A query block on its way through the keys.
struct BackwardBlock {
  QueryBlock block;
  LogitTerms terms;
  DropoutMask mask;
  TileShape tile;
  float *q, *q_t, *dout, *dout_t, *dq_t, *lse, *delta;
};

struct BackwardBuffers {
  size_t depth, value_depth;    // padded head_dim, value_dim
  size_t stride, value_stride;  // of packed rows
  float *keys, *values, *dk, *dv, *p, *ds, *rows;
  float *q, *q_t, *dout, *dout_t, *dq_t, *lse, *delta;  // of each block
  Scratch scratch;

  explicit BackwardBuffers(const Extents& e)
      : depth(padded(e.head_dim)),
        value_depth(padded(e.value_dim)),
        stride(row_stride(e.head_dim)),
        value_stride(row_stride(e.value_dim)),
        scratch({{&keys, padded(e.keys) * stride},
                 {&values, padded(e.keys) * value_stride},
                 {&dk, padded(e.keys) * stride},
                 {&dv, padded(e.keys) * value_stride},
                 {&p, kKeysBackward * kQueries},
                 {&ds, kKeysBackward * kQueries},
                 {&rows, kQueries * stride},
                 {&q, kBlocksAtOnceBackward * kQueries * stride},
                 {&q_t, kBlocksAtOnceBackward * kQueries * depth},
                 {&dout, kBlocksAtOnceBackward * kQueries * value_stride},
                 {&dout_t, kBlocksAtOnceBackward * kQueries * value_depth},
                 {&dq_t, kBlocksAtOnceBackward * kQueries * depth},
                 {&lse, kBlocksAtOnceBackward * kQueries},
                 {&delta, kBlocksAtOnceBackward * kQueries}}) {}
};

/// delta and the base-2 log-sum-exp of each lane. A row without keys gets an lse that makes its
/// probabilities 0.
template <class T>
void row_statistics(const BackwardBlock& f, size_t dout_stride, const T* out, int64_t out_stride,
                    const float* lse, const float* dlse, int64_t value_dim) {
  for (int64_t i = 0; i < kQueries; ++i) {
    const bool used = i < f.block.rows && lse[i] != -std::numeric_limits<float>::infinity();
    f.lse[i] = used ? lse[i] * kLog2E : hwy::HighestValue<float>();
    f.delta[i] = 0.0f;
    if (!used) continue;
    const float* go = f.dout + static_cast<size_t>(i) * dout_stride;
    const T* o = out + i * out_stride;
    V sum = hn::Zero(kF);
    int64_t d = 0;
    for (; d + kLanes <= value_dim; d += kLanes)
      sum = hn::MulAdd(hn::Load(kF, go + d), simd::HWY_NAMESPACE::load_f32(kF, o + d), sum);
    float total = hn::GetLane(hn::SumOfLanes(kF, sum));
    for (; d < value_dim; ++d) total += go[d] * static_cast<float>(o[d]);
    f.delta[i] = total - (dlse == nullptr ? 0.0f : dlse[i]);
  }
}

/// Column w: logits and dO V^T to P^T and dS^T (without the scale, nor dropout's in P^T).
HWY_INLINE void gradient_column(const BackwardBlock& f, float factor, int w, BackwardBuffers& x) {
  const V by = hn::Set(kF, factor), lse = hn::Load(kF, f.lse + w * kLanes);
  const V delta = hn::Load(kF, f.delta + w * kLanes);
  for (int64_t r = 0; r < f.tile.extent[w]; ++r) {
    float* at = x.p + r * kQueries + w * kLanes;
    float* ds = x.ds + r * kQueries + w * kLanes;
    const V p = exp2(hn::MulSub(hn::Load(kF, at), by, lse));
    hn::Store(p, kF, at);
    hn::Store(hn::Mul(p, hn::Sub(hn::Load(kF, ds), delta)), kF, ds);
  }
}

/// The same under dropout.
HWY_INLINE void dropped_gradient_column(const BackwardBlock& f, float factor, int w,
                                        BackwardBuffers& x) {
  const TileDropout dropout(f.mask, f.block.first, w);
  const V by = hn::Set(kF, factor), lse = hn::Load(kF, f.lse + w * kLanes);
  const V delta = hn::Load(kF, f.delta + w * kLanes);
  const V keep = hn::Set(kF, static_cast<float>(f.mask.keep_scale()));
  for (int64_t r = 0; r < f.tile.extent[w]; r += 4) {
    dropout.for_keys(f.tile.first_key + r, [&](int64_t i, auto kept) HWY_ATTR {
      float* at = x.p + (r + i) * kQueries + w * kLanes;
      float* ds = x.ds + (r + i) * kQueries + w * kLanes;
      const V p = exp2(hn::MulSub(hn::Load(kF, at), by, lse));
      const V dp = hn::IfThenElseZero(kept, hn::Mul(keep, hn::Load(kF, ds)));
      hn::Store(hn::IfThenElseZero(kept, p), kF, at);
      hn::Store(hn::Mul(p, hn::Sub(dp, delta)), kF, ds);
    });
  }
}

/// Rows that only pad the last group of the tile may be keys that a later block sees: they get 0.
HWY_INLINE void clear_padding(const TileShape& t, int w, BackwardBuffers& x) {
  for (int64_t r = t.extent[w]; r < static_cast<int64_t>(padded(t.extent[w])); ++r) {
    hn::Store(hn::Zero(kF), kF, x.p + r * kQueries + w * kLanes);
    hn::Store(hn::Zero(kF), kF, x.ds + r * kQueries + w * kLanes);
  }
}

/// Gradients of one key/value head's rows, to where they belong.
template <class T>
void store_head(const float* from, size_t stride, const Tensor& to, int64_t b, int64_t h,
                double factor) {
  const Rows<T> rows(to);
  unpack_rows(from, stride, static_cast<size_t>(to.size(2)), static_cast<size_t>(to.size(3)),
              static_cast<float>(factor), rows.head(b, h), rows.row_stride);
}

/// The factors of dK (the sign is in the packed queries) and dV that tiles leave out.
double key_factor(const Problem& p) { return std::abs(HeadScore(p.spec.score, p.e, 0).scale); }
double value_factor(const Problem& p) { return 1.0 / (1.0 - p.spec.dropout); }

/// One slice of the query blocks of one (batch, key/value head).
template <class T>
class BackwardTask {
 public:
  BackwardTask(const BackwardCall& c, int64_t task)
      : c_(c),
        e_(c.p.e),
        pair_(task / c.tasks.slices),
        slice_(task % c.tasks.slices),
        b_(pair_ / e_.kv_heads),
        kv_head_(pair_ % e_.kv_heads),
        x_(e_) {
    blocks_.reserve(kBlocksAtOnceBackward);
  }

  void run() {
    start_head();
    const int64_t end = c_.tasks.begin(slice_ + 1);
    for (int64_t first = c_.tasks.begin(slice_); first < end; first += kBlocksAtOnceBackward) {
      blocks_.clear();
      int64_t limit = 0;
      for (int64_t i = first; i < std::min(first + kBlocksAtOnceBackward, end); ++i) {
        start(i);
        limit = std::max(limit, blocks_.back().tile.limit);
      }
      for (int64_t key = 0; key < limit; key += kKeysBackward) {
        for (BackwardBlock& f : blocks_) {
          if (key < f.tile.limit) pass_tile(f, key);
        }
      }
      if (!c_.grads.dq.defined()) continue;
      for (const BackwardBlock& f : blocks_) finish(f);
    }
    if (c_.tasks.slices > 1 || !c_.grads.dk.defined()) return;
    store_head<T>(x_.dk, x_.stride, c_.grads.dk, b_, kv_head_, key_factor(c_.p));
    store_head<T>(x_.dv, x_.value_stride, c_.grads.dv, b_, kv_head_, value_factor(c_.p));
  }

 private:
  void start_head() {
    const Rows<const T> k(c_.k), v(c_.v);
    const size_t rows = padded(e_.keys);
    pack_rows(k.head(b_, kv_head_), k.row_stride, static_cast<size_t>(e_.keys),
              static_cast<size_t>(e_.head_dim), x_.keys, x_.stride, rows);
    pack_rows(v.head(b_, kv_head_), v.row_stride, static_cast<size_t>(e_.keys),
              static_cast<size_t>(e_.value_dim), x_.values, x_.value_stride, rows);
    if (!c_.grads.dk.defined()) return;
    if (c_.tasks.slices > 1) {
      const auto at = static_cast<size_t>(slice_ * c_.tasks.pairs + pair_) * rows;
      x_.dk = c_.dk_partial.data<float>() + at * x_.stride;
      x_.dv = c_.dv_partial.data<float>() + at * x_.value_stride;
    }
    std::fill_n(x_.dk, rows * x_.stride, 0.0f);
    std::fill_n(x_.dv, rows * x_.value_stride, 0.0f);
  }

  void start(int64_t i) {
    const QueryBlock block(e_, kv_head_, i);
    const size_t at = blocks_.size() * kQueries;
    const BackwardBlock f{block,
                          LogitTerms(HeadScore(c_.p.spec.score, e_, block.head)),
                          DropoutMask(c_.p.spec, b_, block.head),
                          TileShape(c_.p.plan, block),
                          x_.q + at * x_.stride,
                          x_.q_t + at * x_.depth,
                          x_.dout + at * x_.value_stride,
                          x_.dout_t + at * x_.value_depth,
                          x_.dq_t + at * x_.depth,
                          x_.lse + at,
                          x_.delta + at};
    const Rows<const T> q(c_.q), dout(c_.dout), out(c_.forward.out);
    pack_queries(q.head(b_, block.head) + block.first * q.row_stride, q.row_stride, block.rows,
                 e_.head_dim, f.terms.sign, f.q, f.q_t);
    pack_queries(dout.head(b_, block.head) + block.first * dout.row_stride, dout.row_stride,
                 block.rows, e_.value_dim, 1.0f, f.dout, f.dout_t);
    const int64_t row = (b_ * e_.heads + block.head) * e_.queries + block.first;
    row_statistics(f, x_.value_stride, out.head(b_, block.head) + block.first * out.row_stride,
                   out.row_stride, c_.forward.lse.data<float>() + row,
                   c_.dlse.defined() ? c_.dlse.data<float>() + row : nullptr, e_.value_dim);
    std::fill_n(f.dq_t, kQueries * x_.depth, 0.0f);
    blocks_.push_back(f);
  }

  void pass_tile(BackwardBlock& f, int64_t key) {
    TileShape& t = f.tile;
    t.move_to(c_.p.plan, f.block, key, std::min(kKeysBackward, t.limit - key));
    score_products(t, x_.keys, x_.stride, f.q_t, static_cast<size_t>(e_.head_dim), x_.p);
    score_products(t, x_.values, x_.value_stride, f.dout_t, static_cast<size_t>(e_.value_dim),
                   x_.ds);
    for (int w = 0; w < t.vectors; ++w) {
      const float factor = finish_logits(t, f.terms, f.block.first + c_.p.plan.offset(), w, x_.p);
      if (c_.p.spec.dropout > 0.0)
        dropped_gradient_column(f, factor, w, x_);
      else
        gradient_column(f, factor, w, x_);
      clear_padding(t, w, x_);
    }
    if (c_.grads.dk.defined()) add_key_gradients(f);
    if (c_.grads.dq.defined()) {
      const float* keys = x_.keys + static_cast<size_t>(key) * x_.stride;
      t.for_column_groups([&](int w, int n, int64_t rows) {
        product<true>(x_.depth, n, static_cast<size_t>(rows), {keys, 1, x_.stride},
                      x_.ds + w * kLanes, kQueries, f.dq_t + w * kLanes, kQueries);
      });
    }
  }

  /// dV += P^T dO, dK += dS^T Q, over the lanes that see a row.
  void add_key_gradients(const BackwardBlock& f) {
    f.tile.for_row_groups([&](int64_t row, int64_t rows, int w) {
      const auto to = static_cast<size_t>(f.tile.first_key + row);
      const auto first = static_cast<size_t>(w * kLanes);
      const auto lanes = static_cast<size_t>((f.tile.vectors - w) * kLanes);
      const size_t from = static_cast<size_t>(row) * kQueries + first;
      product<true>(static_cast<size_t>(rows), static_cast<int>(x_.value_depth) / kLanes, lanes,
                    {x_.p + from, kQueries, 1}, f.dout + first * x_.value_stride, x_.value_stride,
                    x_.dv + to * x_.value_stride, x_.value_stride);
      product<true>(static_cast<size_t>(rows), static_cast<int>(x_.depth) / kLanes, lanes,
                    {x_.ds + from, kQueries, 1}, f.q + first * x_.stride, x_.stride,
                    x_.dk + to * x_.stride, x_.stride);
    });
  }

  /// dQ^T, times the scale, to rows of dq.
  void finish(const BackwardBlock& f) {
    const Rows<T> dq(c_.grads.dq);
    transpose(f.dq_t, kQueries, x_.depth, static_cast<size_t>(f.tile.vectors * kLanes), x_.rows,
              x_.stride);
    unpack_rows(x_.rows, x_.stride, static_cast<size_t>(f.block.rows),
                static_cast<size_t>(e_.head_dim),
                static_cast<float>(HeadScore(c_.p.spec.score, e_, f.block.head).scale),
                dq.head(b_, f.block.head) + f.block.first * dq.row_stride, dq.row_stride);
  }

  const BackwardCall& c_;
  const Extents& e_;
  int64_t pair_, slice_, b_, kv_head_;
  BackwardBuffers x_;
  std::vector<BackwardBlock> blocks_;
};

/// Adds the slices of one pair into the first of them.
void add_slices(const BackwardCall& c, const Tensor& partial, int64_t pair) {
  const int64_t count = partial.size(-2) * partial.size(-1);
  float* sum = partial.data<float>() + pair * count;
  for (int64_t s = 1; s < c.tasks.slices; ++s) {
    const float* more = sum + s * c.tasks.pairs * count;
    for (int64_t i = 0; i < count; i += kLanes)
      hn::Store(hn::Add(hn::Load(kF, sum + i), hn::Load(kF, more + i)), kF, sum + i);
  }
}

template <class T>
void backward_as(const BackwardCall& c) {
  parallel_for(c.tasks.count(), 1, [&](int64_t task, int64_t) { BackwardTask<T>(c, task).run(); });
  if (!c.dk_partial.defined()) return;
  parallel_for(c.tasks.pairs, 1, [&](int64_t pair, int64_t) {
    const int64_t b = pair / c.p.e.kv_heads, hk = pair % c.p.e.kv_heads;
    for (const bool key : {true, false}) {
      const Tensor& partial = key ? c.dk_partial : c.dv_partial;
      add_slices(c, partial, pair);
      store_head<T>(partial.data<float>() + pair * partial.size(-2) * partial.size(-1),
                    static_cast<size_t>(partial.size(-1)), key ? c.grads.dk : c.grads.dv, b, hk,
                    key ? key_factor(c.p) : value_factor(c.p));
    }
  });
}

void backward(const BackwardCall& call) {
  if (call.q.dtype() == DType::bf16)
    backward_as<bfloat16>(call);
  else
    backward_as<float>(call);
}

}  // namespace
}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels::attn {

HWY_EXPORT(backward);

void fused_backward(const Problem& problem, const Tensor& dout, const Tensor& dlse, const Tensor& q,
                    const Tensor& k, const Tensor& v, const AttentionOutput& forward,
                    const AttentionGradients& grads) {
  const Extents& e = problem.e;
  BackwardCall call{problem, dout, dlse, q, k, v, forward, grads, Tasks(e, 8, 4)};
  if (call.tasks.slices > 1 && grads.dk.defined()) {
    const auto rows = static_cast<int64_t>(padded(e.keys));
    const auto width = [](int64_t n) { return static_cast<int64_t>(row_stride(n)); };
    call.dk_partial = Tensor::empty({call.tasks.slices, call.tasks.pairs, rows, width(e.head_dim)});
    call.dv_partial =
        Tensor::empty({call.tasks.slices, call.tasks.pairs, rows, width(e.value_dim)});
  }
  HWY_DYNAMIC_DISPATCH(backward)(call);
}

}  // namespace heed::kernels::attn
#endif
