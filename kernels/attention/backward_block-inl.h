// A query block of the backward pass, its buffers, and the steps that are not products: delta, and
// from logits and dO V^T to P^T and dS^T. See fused_backward.cpp.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ATTENTION_BACKWARD_BLOCK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ATTENTION_BACKWARD_BLOCK_INL_H_
#undef HEED_KERNELS_ATTENTION_BACKWARD_BLOCK_INL_H_
#else
#define HEED_KERNELS_ATTENTION_BACKWARD_BLOCK_INL_H_
#endif

#include "kernels/attention/dropout-inl.h"
#include "kernels/attention/operands-inl.h"
#include "kernels/attention/score-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {

/// A query block on its way through the keys.
struct BackwardBlock {
  QueryBlock block;
  LogitTerms terms;
  DropoutMask mask;
  TileView tile;
  TileCursor cursor;
  float *q, *q_t, *dout, *dout_t, *dq_t, *lse, *delta, *positions;
  LaneScores lanes;
  HWY_ALIGN float dtemperature[kQueries];  // of the lanes
  HWY_ALIGN float dbias[kQueries];
  HWY_ALIGN float least[kQueries], largest[kQueries];  // logits, with PairWalk's
};

/// Of an operand whose features lie along its rows.
struct WordSizes {
  size_t words;   // of a row
  size_t depth;   // padded
  size_t stride;  // of packed rows
  WordSizes(int64_t width, int64_t each)
      : words(static_cast<size_t>((width + each - 1) / each)),
        depth(padded(static_cast<int64_t>(words))),
        stride(row_stride(static_cast<int64_t>(words))) {}
};

struct BackwardBuffers {
  WordSizes key, value;         // products over features
  size_t depth, value_depth;    // padded head_dim, value_dim
  size_t stride, value_stride;  // of rows of as many words
  float *keys, *keys_across, *values, *dk, *dv, *p, *ds, *paired_p, *paired_ds;
  float *raw, *slopes, *rows;
  float *q, *q_t, *dout, *dout_t, *dq_t, *lse, *delta, *positions;  // of each block
  Scratch scratch;

  /// `each`: numbers of a word.
  BackwardBuffers(const Extents& e, int64_t tile_keys, int64_t each, bool own_sums)
      : key(e.head_dim, each),
        value(e.value_dim, each),
        depth(padded(e.head_dim)),
        value_depth(padded(e.value_dim)),
        stride(row_stride(e.head_dim)),
        value_stride(row_stride(e.value_dim)),
        scratch(pieces(padded(tile_keys), static_cast<size_t>(each), own_sums)) {}

 private:
  Scratch pieces(size_t tile_keys, size_t each, bool own_sums) {
    constexpr size_t kLanesAtOnce = kBlocksAtOnceBackward * kQueries, kTile = kKeys * kQueries;
    const bool paired = each > 1;
    return Scratch({{&keys, tile_keys * key.stride},
                    {&keys_across, paired ? tile_keys / each * stride : 0},
                    {&values, tile_keys * value.stride},
                    {&dk, own_sums ? tile_keys * stride : 0},
                    {&dv, own_sums ? tile_keys * value_stride : 0},
                    {&p, kTile},
                    {&ds, kTile},
                    {&paired_p, paired ? kTile / each : 0},
                    {&paired_ds, paired ? kTile / each : 0},
                    {&raw, kTile},
                    {&slopes, kTile},
                    {&rows, kQueries * std::max(stride, value.stride)},
                    {&q, kLanesAtOnce / each * stride},
                    {&q_t, kLanesAtOnce * key.depth},
                    {&dout, kLanesAtOnce / each * value_stride},
                    {&dout_t, kLanesAtOnce * value.depth},
                    {&dq_t, kLanesAtOnce * depth},
                    {&lse, kLanesAtOnce},
                    {&delta, kLanesAtOnce},
                    {&positions, kLanesAtOnce}});
  }
};

/// delta and the base-2 log-sum-exp of each lane. A row without keys gets an lse that makes its
/// probabilities 0. `out`, `lse` and `dlse` begin at the head's first token; `out` and `dlse` may
/// be null.
template <class T>
void row_statistics(const BackwardBlock& f, const TilePlan& plan, const Tokens<T>& dout,
                    const T* out, int64_t out_stride, const float* lse, const float* dlse,
                    int64_t value_dim) {
  for (int64_t i = 0; i < kQueries; ++i) {
    f.lse[i] = hwy::HighestValue<float>();
    f.delta[i] = 0.0f;
    if (i >= f.block.rows) continue;
    const int64_t token = plan.query_token(f.block.first + i);
    if (lse[token] == -std::numeric_limits<float>::infinity()) continue;
    f.lse[i] = lse[token] * kLog2E;
    f.delta[i] = dlse == nullptr ? 0.0f : -dlse[token];
    if (out == nullptr) continue;
    const T* go = dout.row(i);
    const T* o = out + token * out_stride;
    V sum = hn::Zero(kF);
    int64_t d = 0;
    for (; d + kLanes <= value_dim; d += kLanes)
      sum = hn::MulAdd(simd::HWY_NAMESPACE::load_f32(kF, go + d),
                       simd::HWY_NAMESPACE::load_f32(kF, o + d), sum);
    float total = hn::GetLane(hn::SumOfLanes(kF, sum));
    for (; d < value_dim; ++d) total += static_cast<float>(go[d]) * static_cast<float>(o[d]);
    f.delta[i] += total;
  }
}

/// Column w: logits and dO V^T to P^T and dS^T (without the scale, nor dropout's in P^T).
HWY_INLINE void gradient_column(const BackwardBlock& f, float factor, int w, BackwardBuffers& x) {
  const V by = hn::Set(kF, factor), lse = hn::Load(kF, f.lse + w * kLanes);
  const V delta = hn::Load(kF, f.delta + w * kLanes);
  f.tile.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r) {
      float* at = x.p + r * kQueries + w * kLanes;
      float* ds = x.ds + r * kQueries + w * kLanes;
      const V p = exp2(hn::MulSub(hn::Load(kF, at), by, lse));
      hn::Store(p, kF, at);
      hn::Store(hn::Mul(p, hn::Sub(hn::Load(kF, ds), delta)), kF, ds);
    }
  });
}

/// The same under dropout.
HWY_INLINE void dropped_gradient_column(const BackwardBlock& f, float factor, int w,
                                        BackwardBuffers& x) {
  const TileDropout dropout(f.mask, f.block.first, w);
  const V by = hn::Set(kF, factor), lse = hn::Load(kF, f.lse + w * kLanes);
  const V delta = hn::Load(kF, f.delta + w * kLanes);
  const V keep = hn::Set(kF, static_cast<float>(f.mask.keep_scale()));
  f.tile.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; r += 4) {
      dropout.for_keys(f.tile.first_key + r, [&](int64_t i, auto kept) HWY_ATTR {
        float* at = x.p + (r + i) * kQueries + w * kLanes;
        float* ds = x.ds + (r + i) * kQueries + w * kLanes;
        const V p = exp2(hn::MulSub(hn::Load(kF, at), by, lse));
        const V dp = hn::IfThenElseZero(kept, hn::Mul(keep, hn::Load(kF, ds)));
        hn::Store(hn::IfThenElseZero(kept, p), kF, at);
        hn::Store(hn::Mul(p, hn::Sub(dp, delta)), kF, ds);
      });
    }
  });
}

/// Rows that only pad the tile's last group get 0.
HWY_INLINE void clear_padding(const TileView& t, int w, BackwardBuffers& x) {
  for (int64_t r = t.keys; r < static_cast<int64_t>(padded(t.keys)); ++r) {
    hn::Store(hn::Zero(kF), kF, x.p + r * kQueries + w * kLanes);
    hn::Store(hn::Zero(kF), kF, x.ds + r * kQueries + w * kLanes);
  }
}

}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
