// A tile of scores and what the pattern makes of it.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ATTENTION_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ATTENTION_TILE_INL_H_
#undef HEED_KERNELS_ATTENTION_TILE_INL_H_
#else
#define HEED_KERNELS_ATTENTION_TILE_INL_H_
#endif

#include "kernels/attention/micro-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {

inline constexpr float kLog2E = 1.44269504f;
inline constexpr int kUnitVectors = kTileUnit / kLanes;  // of the lanes of a unit

/// The current tile of a query block: all pairs of `keys` keys and the block's queries, or those of
/// a mask, of which only the rectangles around its pairs are computed.
struct TileView {
  int vectors = 0;        // of lanes in use
  int64_t first_key = 0;  // slot
  int64_t keys = 0;
  const TileMask* mask = nullptr;

  explicit TileView(const QueryBlock& block)
      : vectors(static_cast<int>((block.rows + kLanes - 1) / kLanes)) {}

  void move_to(const TilePlan& plan, int64_t all_keys, int32_t tile, int32_t mask_index) {
    first_key = tile * kKeys;
    keys = std::min(kKeys, all_keys - first_key);
    mask = mask_index < 0 ? nullptr : &plan.mask(mask_index);
  }

  /// Calls fn(first row, rows (a multiple of kRowUnit), first vector, vectors) for rectangles that
  /// cover all pairs.
  template <class Fn>
  HWY_INLINE void for_rects(const Fn& fn) const {
    if (mask == nullptr) return fn(int64_t{0}, static_cast<int64_t>(padded(keys)), 0, vectors);
    for (int i = 0; i < mask->rect_count; ++i) {
      const TileRect& r = mask->rects[i];
      fn(int64_t{r.row} * kRowUnit, int64_t{r.rows} * kRowUnit, r.lane * kUnitVectors,
         r.lanes * kUnitVectors);
    }
  }

  /// Calls fn(first row, end) for the rows of vector w that rectangles hold.
  template <class Fn>
  HWY_INLINE void for_rows(int w, const Fn& fn) const {
    if (mask == nullptr) return fn(int64_t{0}, keys);
    const int lane = w / kUnitVectors;
    for (int r = 0; r < 4; ++r) {
      if (!((mask->active >> (4 * r + lane)) & 1)) continue;
      int end = r + 1;
      while (end < 4 && ((mask->active >> (4 * end + lane)) & 1)) ++end;
      fn(int64_t{r} * kRowUnit, std::min<int64_t>(int64_t{end} * kRowUnit, keys));
      r = end;
    }
  }

  /// The lanes of vector w that see row r of a masked tile.
  HWY_INLINE hn::Mask<F> seen(int64_t r, int w) const {
    const uint64_t word = mask->bits[static_cast<size_t>(r)] >> (w * kLanes);
    return hn::LoadMaskBits(kF, reinterpret_cast<const uint8_t*>(&word));
  }
};

/// Logits in base 2 are factor * s + slope (j - i): scale and slope times log2(e). The factor is
/// not negative: a negative scale's sign goes into the packed queries.
struct LogitTerms {
  float sign = 1.0f;
  float factor = 1.0f;
  float slope = 0.0f;

  explicit LogitTerms(const HeadScore& score)
      : sign(score.scale < 0.0 ? -1.0f : 1.0f),
        factor(static_cast<float>(std::abs(score.scale) * 1.4426950408889634)),
        slope(static_cast<float>(score.slope * 1.4426950408889634)) {}
};

/// Rows of f32, times `factor`, to the tokens in slots [first, first + rows).
template <class T>
void unpack_tokens(const float* from, size_t from_stride, int64_t rows, int64_t width, float factor,
                   T* head, int64_t head_stride, const int32_t* order, int64_t first) {
  const auto w = static_cast<size_t>(width);
  if (order == nullptr) {
    unpack_rows(from, from_stride, static_cast<size_t>(rows), w, factor, head + first * head_stride,
                head_stride);
    return;
  }
  for (int64_t r = 0; r < rows; ++r, from += from_stride)
    unpack_rows(from, 0, 1, w, factor, head + order[first + r] * head_stride, 0);
}

/// Where the lanes' queries stand among the keys.
inline void lane_positions(const Problem& p, const QueryBlock& block, float* positions) {
  for (int64_t l = 0; l < kQueries; ++l) {
    const int64_t slot = block.first + std::min(l, block.rows - 1);
    positions[l] = static_cast<float>(p.plan.query_token(slot) + p.offset());
  }
}

// Words of a product that are summed at once: as many as keep Q^T in the first-level cache.
inline constexpr size_t kDepthChunk = 64;

/// S^T = K Q^T for the pairs of the tile, in units of q.k; `k` are the tile's rows of `depth`
/// words.
template <class P>
void score_products(const TileView& t, const float* k, size_t k_stride, const float* q_t,
                    size_t depth, float* s) {
  t.for_rects([&](int64_t row, int64_t rows, int w, int n) {
    const float* keys = k + static_cast<size_t>(row) * k_stride;
    float* to = s + row * kQueries + w * kLanes;
    const size_t first = std::min(depth, kDepthChunk);
    product<P, false>(static_cast<size_t>(rows), n, first, {keys, k_stride, 1}, q_t + w * kLanes,
                      kQueries, to, kQueries);
    for (size_t d = first; d < depth; d += kDepthChunk) {
      product<P, true>(static_cast<size_t>(rows), n, std::min(depth - d, kDepthChunk),
                       {keys + d, k_stride, 1}, q_t + d * kQueries + w * kLanes, kQueries, to,
                       kQueries);
    }
  });
}

/// C^T += rows^T S over the tile's pairs: `rows` are the tile's keys or values (V^T P^T, K^T dS^T),
/// rows and S with P::kEach tokens a word.
template <class P>
void weighted_rows(const TileView& t, const float* rows, size_t stride, size_t depth,
                   const float* s, float* c_t) {
  t.for_rects([&](int64_t row, int64_t count, int w, int n) {
    const int64_t first = row / P::kEach, end = std::min(row + count, t.keys);
    product<P, true>(depth, n, words<P>(end - row),
                     {rows + static_cast<size_t>(first) * stride, 1, stride},
                     s + first * kQueries + w * kLanes, kQueries, c_t + w * kLanes, kQueries);
  });
}

/// Turns column w of the tile into base-2 logits where ALiBi or a mask asks for it: -infinity where
/// the pattern has no pair. `positions` are those of the lanes' queries among the keys. Returns the
/// factor that is still to be multiplied in.
HWY_INLINE float finish_logits(const TileView& t, const TilePlan& plan, const LogitTerms& terms,
                               const float* positions, int w, float* s) {
  float* column = s + w * kLanes;
  const V factor = hn::Set(kF, terms.factor);
  const bool alibi = terms.slope != 0.0f;
  if (alibi) {
    const V slope = hn::Set(kF, terms.slope), position = hn::Load(kF, positions + w * kLanes);
    t.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t r = begin; r < end; ++r) {
        float* at = column + r * kQueries;
        const V key = hn::Set(kF, static_cast<float>(plan.key_token(t.first_key + r)));
        hn::Store(hn::MulAdd(slope, hn::Sub(key, position), hn::Mul(factor, hn::Load(kF, at))), kF,
                  at);
      }
    });
  }
  if (t.mask != nullptr) {
    const V hidden = hn::Neg(hn::Inf(kF));
    t.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t r = begin; r < end; ++r) {
        float* at = column + r * kQueries;
        hn::Store(hn::IfThenElse(t.seen(r, w), hn::Load(kF, at), hidden), kF, at);
      }
    });
  }
  return alibi ? 1.0f : terms.factor;
}

}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
