// Fused attention, forward (FlashAttention-2, Dao 2023, arXiv 2307.08691, algorithm 1):
// for a block of 64 queries the keys pass by in tiles; each lane keeps the maximum m and the sum l
// of its logits so far, and O^T is rescaled when m grows.
//
//   S^T = K Q^T       m' = max(m, max_rows S^T)       P^T = 2^(S^T - m')
//   l = l 2^(m - m') + sum_rows P^T                   O^T = O^T 2^(m - m') + V^T P^T
//
// 4 N M D multiply-adds a head (half of it causal); Q, K, V and O are read or written once. Logits
// are kept in base 2. A task packs its keys and values (as f32) once for all its query blocks.
#include "kernels/attention/fused.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/fused_forward.cpp"
#include "kernels/simd.h"
// after simd.h
#include "core/parallel.h"
#include "kernels/attention/dropout-inl.h"
#include "kernels/attention/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {
namespace {

struct ForwardBuffers {
  size_t depth, value_depth;
  float *keys, *values, *q, *q_t, *scores, *out_t, *max, *sum;
  Scratch scratch;

  explicit ForwardBuffers(const Extents& e)
      : depth(padded(e.head_dim)),
        value_depth(padded(e.value_dim)),
        scratch({{&keys, padded(e.keys) * depth},
                 {&values, padded(e.keys) * value_depth},
                 {&q, kQueries * std::max(depth, value_depth)},  // and rows of the result
                 {&q_t, kQueries * depth},
                 {&scores, kKeys * kQueries},
                 {&out_t, kQueries * value_depth},
                 {&max, kQueries},
                 {&sum, kQueries}}) {}
};

/// Logits of column w to probabilities relative to the lanes' new maximum; rescales O^T.
HWY_INLINE void softmax_column(const TileShape& t, float factor, int w, ForwardBuffers& x) {
  float* column = x.scores + w * kLanes;
  const int64_t rows = t.extent[w];
  const V old_max = hn::Load(kF, x.max + w * kLanes), by = hn::Set(kF, factor);
  V top = hn::Neg(hn::Inf(kF)), top2 = top;
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2) {
    top = hn::Max(top, hn::Load(kF, column + r * kQueries));
    top2 = hn::Max(top2, hn::Load(kF, column + (r + 1) * kQueries));
  }
  if (r < rows) top = hn::Max(top, hn::Load(kF, column + r * kQueries));
  const V max = hn::Max(old_max, hn::Mul(by, hn::Max(top, top2)));
  V sum = hn::Zero(kF);
  for (r = 0; r < rows; ++r) {
    float* at = column + r * kQueries;
    const V p = exp2(hn::MulSub(hn::Load(kF, at), by, max));
    sum = hn::Add(sum, p);
    hn::Store(p, kF, at);
  }
  const V rescale = exp2(hn::Sub(old_max, max));
  hn::Store(max, kF, x.max + w * kLanes);
  hn::Store(hn::MulAdd(hn::Load(kF, x.sum + w * kLanes), rescale, sum), kF, x.sum + w * kLanes);
  if (hn::AllTrue(kF, hn::Eq(rescale, hn::Set(kF, 1.0f)))) return;
  for (size_t d = 0; d < x.value_depth; ++d) {
    float* at = x.out_t + d * kQueries + static_cast<size_t>(w * kLanes);
    hn::Store(hn::Mul(rescale, hn::Load(kF, at)), kF, at);
  }
}

HWY_INLINE void drop_column(const TileShape& t, const TileDropout& dropout, int w, float* scores) {
  for (int64_t r = 0; r < t.extent[w]; r += 4) {
    dropout.for_keys(t.first_key + r, [&](int64_t i, auto kept) HWY_ATTR {
      float* at = scores + (r + i) * kQueries + w * kLanes;
      hn::Store(hn::IfThenElseZero(kept, hn::Load(kF, at)), kF, at);
    });
  }
}

/// O^T / l to rows of `out`, and the log-sum-exp in base e.
template <class T>
void finish_block(const QueryBlock& block, int vectors, float keep_scale, int64_t value_dim,
                  ForwardBuffers& x, T* out, int64_t out_stride, float* lse) {
  for (int w = 0; w < vectors; ++w) {
    const V sum = hn::Load(kF, x.sum + w * kLanes), max = hn::Load(kF, x.max + w * kLanes);
    const auto empty = hn::Eq(sum, hn::Zero(kF));
    const V inverse = hn::IfThenZeroElse(empty, hn::Div(hn::Set(kF, keep_scale), sum));
    for (size_t d = 0; d < x.value_depth; ++d) {
      float* at = x.out_t + d * kQueries + static_cast<size_t>(w * kLanes);
      hn::Store(hn::Mul(inverse, hn::Load(kF, at)), kF, at);
    }
    const V log = hn::MulAdd(max, hn::Set(kF, 0.693147181f), simd::HWY_NAMESPACE::log(kF, sum));
    hn::Store(hn::IfThenElse(empty, hn::Neg(hn::Inf(kF)), log), kF, x.sum + w * kLanes);
  }
  std::copy_n(x.sum, block.rows, lse);
  transpose(x.out_t, kQueries, x.value_depth, static_cast<size_t>(vectors * kLanes), x.q,
            x.value_depth);
  unpack_rows(x.q, x.value_depth, static_cast<size_t>(block.rows), static_cast<size_t>(value_dim),
              1.0f, out, out_stride);
}

template <class T>
void forward_task(const Problem& p, const Tensor& q, const Tensor& k, const Tensor& v,
                  const Tensor& out, const Tensor& lse, const Tasks& tasks, int64_t task) {
  const Extents& e = p.e;
  const Rows<const T> qs(q), ks(k), vs(v);
  const Rows<T> outs(out);
  const int64_t pair = task / tasks.slices, slice = task % tasks.slices;
  const int64_t b = pair / e.kv_heads, hk = pair % e.kv_heads;
  const auto D = static_cast<size_t>(e.head_dim), Dv = static_cast<size_t>(e.value_dim);
  ForwardBuffers x(e);
  int64_t packed = 0;
  for (int64_t i = tasks.begin(slice); i < tasks.begin(slice + 1); ++i) {
    const QueryBlock block(e, hk, i);
    const LogitTerms terms(HeadScore(p.spec.score, e, block.head));
    const DropoutMask mask(p.spec, b, block.head);
    TileShape t(p.plan, block);
    if (t.limit > packed) {
      const auto more = static_cast<size_t>(t.limit - packed);
      const size_t rows = padded(t.limit) - static_cast<size_t>(packed);
      pack_rows(ks.head(b, hk) + packed * ks.row_stride, ks.row_stride, more, D,
                x.keys + static_cast<size_t>(packed) * x.depth, x.depth, rows);
      pack_rows(vs.head(b, hk) + packed * vs.row_stride, vs.row_stride, more, Dv,
                x.values + static_cast<size_t>(packed) * x.value_depth, x.value_depth, rows);
      packed = t.limit;
    }
    pack_queries(qs.head(b, block.head) + block.first * qs.row_stride, qs.row_stride, block.rows,
                 e.head_dim, terms.sign, x.q, x.q_t);
    std::fill_n(x.max, kQueries, -hwy::HighestValue<float>());
    std::fill_n(x.sum, kQueries, 0.0f);
    std::fill_n(x.out_t, kQueries * x.value_depth, 0.0f);
    for (int64_t first = 0; first < t.limit; first += kKeys) {
      t.move_to(p.plan, block, first, std::min(kKeys, t.limit - first));
      score_products(t, x.keys, x.depth, x.q_t, D, x.scores);
      for (int w = 0; w < t.vectors; ++w) {
        const float factor = finish_logits(t, terms, block.first + p.plan.offset(), w, x.scores);
        softmax_column(t, factor, w, x);
        if (p.spec.dropout > 0.0) drop_column(t, TileDropout(mask, block.first, w), w, x.scores);
      }
      t.for_column_groups([&](int w, int n, int64_t rows) {
        product(x.value_depth, n, static_cast<size_t>(rows),
                {x.values + static_cast<size_t>(first) * x.value_depth, 1, x.value_depth},
                x.scores + w * kLanes, kQueries, x.out_t + w * kLanes, kQueries, true);
      });
    }
    finish_block(block, t.vectors, static_cast<float>(mask.keep_scale()), e.value_dim, x,
                 outs.head(b, block.head) + block.first * outs.row_stride, outs.row_stride,
                 lse.data<float>() + (b * e.heads + block.head) * e.queries + block.first);
  }
}

void forward(const Problem& p, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
             const Tensor& lse) {
  const Tasks tasks(p.e, 64, 2);
  parallel_for(tasks.count(), 1, [&](int64_t task, int64_t) {
    if (q.dtype() == DType::bf16)
      forward_task<bfloat16>(p, q, k, v, out, lse, tasks, task);
    else
      forward_task<float>(p, q, k, v, out, lse, tasks, task);
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
