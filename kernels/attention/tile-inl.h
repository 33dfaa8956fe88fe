// A tile of scores and what the pattern and the score terms make of it.
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

/// The keys of a query block as its lanes see them, and the shape of the current tile: full, or
/// with one extent a vector of lanes, so that a causal tile costs little above its diagonal.
struct TileShape {
  HWY_ALIGN int32_t ends[kQueries];  // key_end of each lane
  int vectors = 0;                   // in use
  int64_t first_key = 0, keys = 0;   // of the tile
  bool full = true;
  int64_t extent[kVectors] = {};  // rows of the tile that vector w takes part in
  int64_t limit = 0;              // keys that some lane sees

  TileShape(const Plan& plan, const QueryBlock& block)
      : vectors(static_cast<int>((block.rows + kLanes - 1) / kLanes)) {
    for (int64_t i = 0; i < kQueries; ++i) {
      const int64_t end = plan.key_end(block.first + std::min(i, block.rows - 1));
      ends[i] = static_cast<int32_t>(end);
      limit = std::max(limit, end);
    }
  }

  /// Moves on to the keys [begin, begin + count), within the limit.
  void move_to(const Plan& plan, const QueryBlock& block, int64_t begin, int64_t count) {
    first_key = begin;
    keys = count;
    full = plan.tile(block.first, block.first + block.rows, begin, begin + count) == Tile::full;
    for (int w = 0; w < vectors; ++w) {
      const int64_t end = *std::max_element(ends + w * kLanes, ends + (w + 1) * kLanes);
      const int64_t seen = (std::max<int64_t>(end - begin, 0) + kRowUnit - 1) / kRowUnit * kRowUnit;
      extent[w] = full ? count : std::min(seen, count);
    }
  }

  /// The first vector that takes part in the rows from `row` on.
  int first_vector(int64_t row) const {
    int w = 0;
    while (w < vectors && extent[w] <= row) ++w;
    return w;
  }

  /// Calls fn(first row, rows (a multiple of kRowUnit), first vector) for groups of rows.
  template <class Fn>
  void for_row_groups(const Fn& fn) const {
    const int64_t rows = static_cast<int64_t>(padded(keys));
    if (full) return fn(int64_t{0}, rows, 0);
    for (int64_t row = 0; row < rows;) {
      const int first = first_vector(row);
      int64_t end = row + kRowUnit;
      while (end < rows && first_vector(end) == first) end += kRowUnit;
      if (first < vectors) fn(row, end - row, first);
      row = end;
    }
  }

  /// Calls fn(first vector, vectors, rows) for groups of neighbouring vectors of equal extent.
  template <class Fn>
  void for_column_groups(const Fn& fn) const {
    for (int w = 0; w < vectors;) {
      int end = w + 1;
      while (end < vectors && extent[end] == extent[w]) ++end;
      if (extent[w] > 0) fn(w, end - w, extent[w]);
      w = end;
    }
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

/// The queries of a block with the scale's sign, as rows and transposed.
template <class T>
void pack_queries(const T* from, int64_t from_stride, int64_t rows, int64_t width, float sign,
                  float* to, float* to_transposed) {
  const size_t stride = row_stride(width);
  pack_rows(from, from_stride, static_cast<size_t>(rows), static_cast<size_t>(width), to, stride,
            kQueries);
  if (sign < 0.0f) {
    for (size_t i = 0; i < stride * kQueries; ++i) to[i] = -to[i];
  }
  transpose(to, stride, kQueries, padded(width), to_transposed, kQueries);
}

// Features of a product that are summed at once: as many as keep Q^T in the first-level cache.
inline constexpr size_t kDepthChunk = 64;

/// S^T = K Q^T for the pairs of the tile, in units of q.k.
inline void score_products(const TileShape& t, const float* k, size_t k_stride, const float* q_t,
                           size_t depth, float* s) {
  t.for_row_groups([&](int64_t row, int64_t rows, int w) {
    const float* keys = k + static_cast<size_t>(t.first_key + row) * k_stride;
    float* to = s + row * kQueries + w * kLanes;
    const size_t first = std::min(depth, kDepthChunk);
    product<false>(static_cast<size_t>(rows), t.vectors - w, first, {keys, k_stride, 1},
                   q_t + w * kLanes, kQueries, to, kQueries);
    for (size_t d = first; d < depth; d += kDepthChunk) {
      product<true>(static_cast<size_t>(rows), t.vectors - w, std::min(depth - d, kDepthChunk),
                    {keys + d, k_stride, 1}, q_t + d * kQueries + w * kLanes, kQueries, to,
                    kQueries);
    }
  });
}

/// Turns column w of the tile into base-2 logits where ALiBi or a partial tile asks for it:
/// -infinity where the pattern has no pair. Returns the factor that is still to be multiplied in.
HWY_INLINE float finish_logits(const TileShape& t, const LogitTerms& terms, int64_t first_position,
                               int w, float* s) {
  const hn::RebindToSigned<F> di;
  float* column = s + w * kLanes;
  const V factor = hn::Set(kF, terms.factor);
  const bool alibi = terms.slope != 0.0f;
  if (alibi) {
    const V slope = hn::Set(kF, terms.slope);
    const auto distance = static_cast<float>(t.first_key - first_position - w * kLanes);
    V d = hn::Sub(hn::Set(kF, distance), hn::Iota(kF, 0.0f));  // key - query position
    for (int64_t r = 0; r < t.extent[w]; ++r, d = hn::Add(d, hn::Set(kF, 1.0f))) {
      float* at = column + r * kQueries;
      hn::Store(hn::MulAdd(slope, d, hn::Mul(factor, hn::Load(kF, at))), kF, at);
    }
  }
  if (!t.full) {
    const auto ends = hn::Load(di, t.ends + w * kLanes);
    const int64_t all_see = *std::min_element(t.ends + w * kLanes, t.ends + (w + 1) * kLanes);
    const V hidden = hn::Neg(hn::Inf(kF));
    for (int64_t r = std::max<int64_t>(all_see - t.first_key, 0); r < t.extent[w]; ++r) {
      float* at = column + r * kQueries;
      const auto key = hn::Set(di, static_cast<int32_t>(t.first_key + r));
      const auto seen = hn::RebindMask(kF, hn::Lt(key, ends));
      hn::Store(hn::IfThenElse(seen, hn::Load(kF, at), hidden), kF, at);
    }
  }
  return alibi ? 1.0f : terms.factor;
}

}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
