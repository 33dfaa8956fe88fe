// Fused attention, forward (FlashAttention-2, Dao 2023, arXiv 2307.08691, algorithm 1):
// for a block of 64 queries the keys pass by in tiles; each lane keeps the maximum m and the sum l
// of its logits so far, and O^T is rescaled when m grows.
//
//   S^T = K Q^T       m' = max(m, max_rows S^T)       P^T = 2^(S^T - m')
//   l = l 2^(m - m') + sum_rows P^T                   O^T = O^T 2^(m - m') + V^T P^T
//
// 4 N M D multiply-adds a head (half of it causal); Q, K, V and O are read or written once. Logits
// are kept in base 2. A task packs its keys and values (as f32) once for all its query blocks.
#include <vector>

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

/// A query block on its way through the keys.
struct ForwardBlock {
  QueryBlock block;
  LogitTerms terms;
  DropoutMask mask;
  TileShape tile;
  float *q_t, *out_t, *max, *sum;
};

struct ForwardBuffers {
  size_t depth, value_depth;    // padded head_dim, value_dim
  size_t stride, value_stride;  // of packed rows
  float *keys, *values, *rows, *scores, *q_t, *out_t, *max, *sum;
  Scratch scratch;

  explicit ForwardBuffers(const Extents& e)
      : depth(padded(e.head_dim)),
        value_depth(padded(e.value_dim)),
        stride(row_stride(e.head_dim)),
        value_stride(row_stride(e.value_dim)),
        scratch({{&keys, padded(e.keys) * stride},
                 {&values, padded(e.keys) * value_stride},
                 {&rows, kQueries * std::max(stride, value_stride)},
                 {&scores, kKeys * kQueries},
                 {&q_t, kBlocksAtOnce * kQueries * depth},
                 {&out_t, kBlocksAtOnce * kQueries * value_depth},
                 {&max, kBlocksAtOnce * kQueries},
                 {&sum, kBlocksAtOnce * kQueries}}) {}
};

/// Logits of column w to probabilities relative to the lanes' new maximum; rescales O^T.
HWY_INLINE void softmax_column(const ForwardBlock& f, float factor, int w, size_t value_depth,
                               float* scores) {
  float* column = scores + w * kLanes;
  const int64_t rows = f.tile.extent[w];
  const V old_max = hn::Load(kF, f.max + w * kLanes), by = hn::Set(kF, factor);
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
  hn::Store(max, kF, f.max + w * kLanes);
  hn::Store(hn::MulAdd(hn::Load(kF, f.sum + w * kLanes), rescale, sum), kF, f.sum + w * kLanes);
  if (hn::AllTrue(kF, hn::Eq(rescale, hn::Set(kF, 1.0f)))) return;
  for (size_t d = 0; d < value_depth; ++d) {
    float* at = f.out_t + d * kQueries + static_cast<size_t>(w * kLanes);
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

/// One slice of the query blocks of one (batch, key/value head).
template <class T>
class ForwardTask {
 public:
  ForwardTask(const Problem& p, const Tensor& q, const Tensor& k, const Tensor& v,
              const Tensor& out, const Tensor& lse, int64_t pair)
      : p_(p),
        b_(pair / p.e.kv_heads),
        kv_head_(pair % p.e.kv_heads),
        q_(q),
        k_(k),
        v_(v),
        out_(out),
        lse_(lse.data<float>()),
        x_(p.e) {
    blocks_.reserve(kBlocksAtOnce);
  }

  void run(int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kBlocksAtOnce) {
      blocks_.clear();
      int64_t limit = 0;
      for (int64_t i = first; i < std::min(first + kBlocksAtOnce, end); ++i) {
        start(i);
        limit = std::max(limit, blocks_.back().tile.limit);
      }
      pack_up_to(limit);
      for (int64_t key = 0; key < limit; key += kKeys) {
        for (ForwardBlock& f : blocks_) {
          if (key < f.tile.limit) pass_tile(f, key);
        }
      }
      for (const ForwardBlock& f : blocks_) finish(f);
    }
  }

 private:
  void start(int64_t i) {
    const Extents& e = p_.e;
    const QueryBlock block(e, kv_head_, i);
    const size_t at = blocks_.size();
    const ForwardBlock f{block,
                         LogitTerms(HeadScore(p_.spec.score, e, block.head)),
                         DropoutMask(p_.spec, b_, block.head),
                         TileShape(p_.plan, block),
                         x_.q_t + at * kQueries * x_.depth,
                         x_.out_t + at * kQueries * x_.value_depth,
                         x_.max + at * kQueries,
                         x_.sum + at * kQueries};
    pack_queries(q_.head(b_, block.head) + block.first * q_.row_stride, q_.row_stride, block.rows,
                 e.head_dim, f.terms.sign, x_.rows, f.q_t);
    std::fill_n(f.max, kQueries, -hwy::HighestValue<float>());
    std::fill_n(f.sum, kQueries, 0.0f);
    std::fill_n(f.out_t, kQueries * x_.value_depth, 0.0f);
    blocks_.push_back(f);
  }

  void pack_up_to(int64_t limit) {
    if (limit <= packed_) return;
    const auto done = static_cast<size_t>(packed_), more = static_cast<size_t>(limit) - done;
    const size_t rows = padded(limit) - done;
    pack_rows(k_.head(b_, kv_head_) + packed_ * k_.row_stride, k_.row_stride, more,
              static_cast<size_t>(p_.e.head_dim), x_.keys + done * x_.stride, x_.stride, rows);
    pack_rows(v_.head(b_, kv_head_) + packed_ * v_.row_stride, v_.row_stride, more,
              static_cast<size_t>(p_.e.value_dim), x_.values + done * x_.value_stride,
              x_.value_stride, rows);
    packed_ = limit;
  }

  void pass_tile(ForwardBlock& f, int64_t key) {
    TileShape& t = f.tile;
    t.move_to(p_.plan, f.block, key, std::min(kKeys, t.limit - key));
    score_products(t, x_.keys, x_.stride, f.q_t, static_cast<size_t>(p_.e.head_dim), x_.scores);
    for (int w = 0; w < t.vectors; ++w) {
      const float factor =
          finish_logits(t, f.terms, f.block.first + p_.plan.offset(), w, x_.scores);
      softmax_column(f, factor, w, x_.value_depth, x_.scores);
      if (p_.spec.dropout > 0.0)
        drop_column(t, TileDropout(f.mask, f.block.first, w), w, x_.scores);
    }
    const float* values = x_.values + static_cast<size_t>(key) * x_.value_stride;
    t.for_column_groups([&](int w, int n, int64_t rows) {
      product<true>(x_.value_depth, n, static_cast<size_t>(rows), {values, 1, x_.value_stride},
                    x_.scores + w * kLanes, kQueries, f.out_t + w * kLanes, kQueries);
    });
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
    std::copy_n(f.sum, f.block.rows,
                lse_ + (b_ * e.heads + f.block.head) * e.queries + f.block.first);
    transpose(f.out_t, kQueries, x_.value_depth, static_cast<size_t>(f.tile.vectors * kLanes),
              x_.rows, x_.value_stride);
    unpack_rows(x_.rows, x_.value_stride, static_cast<size_t>(f.block.rows),
                static_cast<size_t>(e.value_dim), 1.0f,
                out_.head(b_, f.block.head) + f.block.first * out_.row_stride, out_.row_stride);
  }

  const Problem& p_;
  int64_t b_, kv_head_;
  Rows<const T> q_, k_, v_;
  Rows<T> out_;
  float* lse_;
  ForwardBuffers x_;
  int64_t packed_ = 0;  // keys and values
  std::vector<ForwardBlock> blocks_;
};

void forward(const Problem& p, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
             const Tensor& lse) {
  const Tasks tasks(p.e, kForwardTasks, kBlocksAtOnce);
  parallel_for(tasks.count(), 1, [&](int64_t task, int64_t) {
    const int64_t pair = task / tasks.slices, slice = task % tasks.slices;
    const int64_t begin = tasks.begin(slice), end = tasks.begin(slice + 1);
    if (q.dtype() == DType::bf16)
      ForwardTask<bfloat16>(p, q, k, v, out, lse, pair).run(begin, end);
    else
      ForwardTask<float>(p, q, k, v, out, lse, pair).run(begin, end);
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
