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

struct BackwardBuffers {
  size_t depth, value_depth;    // padded head_dim, value_dim
  size_t stride, value_stride;  // of packed rows
  float *keys, *values, *dk, *dv;
  float *q, *q_t, *dout, *dout_t, *dq_t, *p, *ds, *lse, *delta;
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
                 {&q, kQueries * stride},
                 {&q_t, kQueries * depth},
                 {&dout, kQueries * value_stride},
                 {&dout_t, kQueries * std::max(stride, value_depth)},  // and rows of dQ
                 {&dq_t, kQueries * depth},
                 {&p, kKeysBackward * kQueries},
                 {&ds, kKeysBackward * kQueries},
                 {&lse, kQueries},
                 {&delta, kQueries}}) {}
};

/// delta and the base-2 log-sum-exp of each lane. A row without keys gets an lse that makes its
/// probabilities 0.
template <class T>
void row_statistics(const QueryBlock& block, const T* out, int64_t out_stride, const float* lse,
                    const float* dlse, int64_t value_dim, BackwardBuffers& x) {
  for (int64_t i = 0; i < kQueries; ++i) {
    const bool used = i < block.rows && lse[i] != -std::numeric_limits<float>::infinity();
    x.lse[i] = used ? lse[i] * kLog2E : hwy::HighestValue<float>();
    x.delta[i] = 0.0f;
    if (!used) continue;
    const float* go = x.dout + static_cast<size_t>(i) * x.value_stride;
    const T* o = out + i * out_stride;
    V sum = hn::Zero(kF);
    int64_t d = 0;
    for (; d + kLanes <= value_dim; d += kLanes)
      sum = hn::MulAdd(hn::Load(kF, go + d), simd::HWY_NAMESPACE::load_f32(kF, o + d), sum);
    float total = hn::GetLane(hn::SumOfLanes(kF, sum));
    for (; d < value_dim; ++d) total += go[d] * static_cast<float>(o[d]);
    x.delta[i] = total - (dlse == nullptr ? 0.0f : dlse[i]);
  }
}

/// Column w: logits and dO V^T to P^T and dS^T (without the scale, nor dropout's in P^T).
HWY_INLINE void gradient_column(const TileShape& t, float factor, int w, BackwardBuffers& x) {
  const V by = hn::Set(kF, factor), lse = hn::Load(kF, x.lse + w * kLanes);
  const V delta = hn::Load(kF, x.delta + w * kLanes);
  for (int64_t r = 0; r < t.extent[w]; ++r) {
    float* at = x.p + r * kQueries + w * kLanes;
    float* ds = x.ds + r * kQueries + w * kLanes;
    const V p = exp2(hn::MulSub(hn::Load(kF, at), by, lse));
    hn::Store(p, kF, at);
    hn::Store(hn::Mul(p, hn::Sub(hn::Load(kF, ds), delta)), kF, ds);
  }
}

/// The same under dropout.
HWY_INLINE void dropped_gradient_column(const TileShape& t, float factor, int w, float keep_scale,
                                        const TileDropout& dropout, BackwardBuffers& x) {
  const V by = hn::Set(kF, factor), lse = hn::Load(kF, x.lse + w * kLanes);
  const V delta = hn::Load(kF, x.delta + w * kLanes), keep = hn::Set(kF, keep_scale);
  for (int64_t r = 0; r < t.extent[w]; r += 4) {
    dropout.for_keys(t.first_key + r, [&](int64_t i, auto kept) HWY_ATTR {
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

/// All products and passes of one tile.
void backward_tile(const BackwardCall& c, const QueryBlock& block, const LogitTerms& terms,
                   const DropoutMask& mask, const TileShape& t, BackwardBuffers& x) {
  const Extents& e = c.p.e;
  const auto first = static_cast<size_t>(t.first_key);
  const bool want_q = c.grads.dq.defined(), want_kv = c.grads.dk.defined();
  score_products(t, x.keys, x.stride, x.q_t, static_cast<size_t>(e.head_dim), x.p);
  score_products(t, x.values, x.value_stride, x.dout_t, static_cast<size_t>(e.value_dim), x.ds);
  for (int w = 0; w < t.vectors; ++w) {
    const float factor = finish_logits(t, terms, block.first + c.p.plan.offset(), w, x.p);
    if (c.p.spec.dropout > 0.0)
      dropped_gradient_column(t, factor, w, static_cast<float>(mask.keep_scale()),
                              TileDropout(mask, block.first, w), x);
    else
      gradient_column(t, factor, w, x);
    clear_padding(t, w, x);
  }
  if (want_kv) {
    t.for_row_groups([&](int64_t row, int64_t rows, int w) {
      const size_t at = first + static_cast<size_t>(row);
      const auto depth = static_cast<size_t>((t.vectors - w) * kLanes);
      const auto skipped = static_cast<size_t>(w * kLanes);
      product<true>(static_cast<size_t>(rows), static_cast<int>(x.value_depth) / kLanes, depth,
                    {x.p + static_cast<size_t>(row) * kQueries + skipped, kQueries, 1},
                    x.dout + skipped * x.value_stride, x.value_stride, x.dv + at * x.value_stride,
                    x.value_stride);
      product<true>(static_cast<size_t>(rows), static_cast<int>(x.depth) / kLanes, depth,
                    {x.ds + static_cast<size_t>(row) * kQueries + skipped, kQueries, 1},
                    x.q + skipped * x.stride, x.stride, x.dk + at * x.stride, x.stride);
    });
  }
  if (want_q) {
    t.for_column_groups([&](int w, int n, int64_t rows) {
      product<true>(x.depth, n, static_cast<size_t>(rows), {x.keys + first * x.stride, 1, x.stride},
                    x.ds + w * kLanes, kQueries, x.dq_t + w * kLanes, kQueries);
    });
  }
}

template <class T>
void backward_block(const BackwardCall& c, int64_t b, const QueryBlock& block, BackwardBuffers& x) {
  const Extents& e = c.p.e;
  const Rows<const T> qs(c.q), douts(c.dout), outs(c.forward.out);
  const LogitTerms terms(HeadScore(c.p.spec.score, e, block.head));
  const DropoutMask mask(c.p.spec, b, block.head);
  const int64_t row = (b * e.heads + block.head) * e.queries + block.first;
  pack_queries(qs.head(b, block.head) + block.first * qs.row_stride, qs.row_stride, block.rows,
               e.head_dim, terms.sign, x.q, x.q_t);
  pack_queries(douts.head(b, block.head) + block.first * douts.row_stride, douts.row_stride,
               block.rows, e.value_dim, 1.0f, x.dout, x.dout_t);
  row_statistics(block, outs.head(b, block.head) + block.first * outs.row_stride, outs.row_stride,
                 c.forward.lse.data<float>() + row,
                 c.dlse.defined() ? c.dlse.data<float>() + row : nullptr, e.value_dim, x);
  std::fill_n(x.dq_t, kQueries * x.depth, 0.0f);
  TileShape t(c.p.plan, block);
  for (int64_t first = 0; first < t.limit; first += kKeysBackward) {
    t.move_to(c.p.plan, block, first, std::min(kKeysBackward, t.limit - first));
    backward_tile(c, block, terms, mask, t, x);
  }
  if (!c.grads.dq.defined()) return;
  const Rows<T> dqs(c.grads.dq);
  float* rows = x.dout_t;
  transpose(x.dq_t, kQueries, x.depth, static_cast<size_t>(t.vectors * kLanes), rows, x.stride);
  unpack_rows(rows, x.stride, static_cast<size_t>(block.rows), static_cast<size_t>(e.head_dim),
              static_cast<float>(HeadScore(c.p.spec.score, e, block.head).scale),
              dqs.head(b, block.head) + block.first * dqs.row_stride, dqs.row_stride);
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

template <class T>
void backward_task(const BackwardCall& c, int64_t task) {
  const Extents& e = c.p.e;
  const Rows<const T> ks(c.k), vs(c.v);
  const int64_t pair = task / c.tasks.slices, slice = task % c.tasks.slices;
  const int64_t b = pair / e.kv_heads, hk = pair % e.kv_heads;
  BackwardBuffers x(e);
  const size_t M = padded(e.keys);
  pack_rows(ks.head(b, hk), ks.row_stride, static_cast<size_t>(e.keys),
            static_cast<size_t>(e.head_dim), x.keys, x.stride, M);
  pack_rows(vs.head(b, hk), vs.row_stride, static_cast<size_t>(e.keys),
            static_cast<size_t>(e.value_dim), x.values, x.value_stride, M);
  if (c.tasks.slices > 1 && c.grads.dk.defined()) {
    const auto at = static_cast<size_t>(slice * c.tasks.pairs + pair) * M;
    x.dk = c.dk_partial.data<float>() + at * x.stride;
    x.dv = c.dv_partial.data<float>() + at * x.value_stride;
  }
  std::fill_n(x.dk, M * x.stride, 0.0f);
  std::fill_n(x.dv, M * x.value_stride, 0.0f);
  for (int64_t i = c.tasks.begin(slice); i < c.tasks.begin(slice + 1); ++i)
    backward_block<T>(c, b, QueryBlock(e, hk, i), x);
  if (c.tasks.slices > 1 || !c.grads.dk.defined()) return;
  store_head<T>(x.dk, x.stride, c.grads.dk, b, hk, key_factor(c.p));
  store_head<T>(x.dv, x.value_stride, c.grads.dv, b, hk, value_factor(c.p));
}

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
  parallel_for(c.tasks.count(), 1, [&](int64_t task, int64_t) { backward_task<T>(c, task); });
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
