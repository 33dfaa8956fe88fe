// Random attention problems: any pattern, with any terms of the score.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/random.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/patterns/named.h"

namespace heed::testing {

/// How many seeds a property test tries: `few`, times HEED_ATTENTION_SEEDS where that is set.
inline uint64_t seeds(uint64_t few) {
  const char* factor = std::getenv("HEED_ATTENTION_SEEDS");
  return factor == nullptr ? few : few * std::strtoull(factor, nullptr, 10);
}

/// Numbers drawn one after another.
class Draw {
 public:
  explicit Draw(uint64_t seed) : stream_(RandomKey{seed, 77, 0}) {}
  /// In [low, high].
  int64_t operator()(int64_t low, int64_t high) {
    const auto span = static_cast<uint32_t>(high - low + 1);
    return low + static_cast<int64_t>(stream_.block(next_++)[0] % span);
  }
  float uniform(float low, float high) {
    return low + (high - low) * stream_.uniform(next_++ << 8);
  }
  bool one_in(int64_t n) { return (*this)(1, n) == 1; }

 private:
  RandomStream stream_;
  uint64_t next_ = 1;
};

inline PatternExtents random_extents(Draw& draw) {
  // Grids up to 12 x 12 tokens, or any lengths; blocks of 64 are crossed often enough.
  PatternExtents e{draw(1, 2), draw(1, 3), draw(1, 140), 0};
  e.keys = draw.one_in(2) ? e.queries : draw(1, 140);
  return e;
}

/// `n` as the extents of one to three axes.
inline std::vector<int64_t> random_grid(Draw& draw, int64_t n) {
  std::vector<int64_t> axes;
  for (int64_t a = 1; a < draw(1, 3); ++a) {
    std::vector<int64_t> divisors;
    for (int64_t d = 1; d <= n; ++d)
      if (n % d == 0) divisors.push_back(d);
    axes.push_back(
        divisors[static_cast<size_t>(draw(0, static_cast<int64_t>(divisors.size()) - 1))]);
    n /= axes.back();
  }
  axes.push_back(n);
  return axes;
}

inline std::vector<int32_t> random_ids(Draw& draw, int64_t n, int64_t low, int64_t high) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(draw(low, high)));
  return ids;
}

/// A pattern that fits the extents; `depth` more levels may combine others.
inline AttentionPattern random_pattern(Draw& draw, const PatternExtents& e, int depth = 2) {
  const bool square = e.queries == e.keys;
  switch (draw(0, depth > 0 ? 17 : 12)) {
    case 0:
      return AttentionPattern::dense();
    case 1:
      return AttentionPattern::causal(draw(-5, e.keys));
    case 2:
      return AttentionPattern::window(draw(0, 70), draw(-3, 70), draw(0, 9));
    case 3:
      return AttentionPattern::prefix(draw(0, e.keys + 2));
    case 4:
      return AttentionPattern::global_queries(draw(0, e.queries + 2));
    case 5: {
      if (!square) return AttentionPattern::causal();
      std::vector<NeighborhoodAxis> axes;
      for (const int64_t length : random_grid(draw, e.keys)) {
        NeighborhoodAxis axis{.length = length, .dilation = draw(1, std::min<int64_t>(length, 3))};
        axis.window = draw(1, length / axis.dilation);
        axis.stride = draw(1, axis.window);
        axis.causal = draw.one_in(3);
        axes.push_back(axis);
      }
      return AttentionPattern::neighborhood(axes);
    }
    case 6: {
      if (!square) return AttentionPattern::window(3, 3);
      if (draw.one_in(3))
        return random_sources(e.keys, draw(0, e.keys), {static_cast<uint64_t>(draw(0, 99)), 1, 2});
      if (draw.one_in(3)) return block_window(e.keys, draw(1, 40), draw(0, 2), draw(0, 1));
      std::vector<int64_t> window, shift, grid = random_grid(draw, e.keys);
      for (const int64_t length : grid) window.push_back(draw(1, length));
      for (const int64_t size : window) shift.push_back(draw(0, size - 1));
      return AttentionPattern::windows(grid, window,
                                       draw.one_in(2) ? shift : std::vector<int64_t>{});
    }
    case 7: {
      if (!square) return AttentionPattern::prefix(4);
      std::vector<HaloAxis> axes;
      for (const int64_t length : random_grid(draw, e.keys))
        axes.push_back({.length = length, .block = draw(1, length), .halo = draw(0, 3)});
      return AttentionPattern::halo(axes, draw.one_in(2) ? Border::crop : Border::shift);
    }
    case 8: {
      const int64_t batch = draw.one_in(2) ? e.batch : 1;
      auto q = random_ids(draw, batch * e.queries, 0, 3),
           k = random_ids(draw, batch * e.keys, 0, 3);
      if (draw.one_in(2)) std::sort(q.begin(), q.end()), std::sort(k.begin(), k.end());
      return AttentionPattern::segments(q, k, batch);
    }
    case 9: {
      std::vector<int64_t> q, k;
      for (int64_t b = 0; b < e.batch; ++b)
        q.push_back(draw(0, e.queries)), k.push_back(draw(0, e.keys));
      return AttentionPattern::lengths(q, k);
    }
    case 10: {
      const int64_t heads = draw.one_in(2) ? e.heads : 1, n = e.batch * heads * e.keys;
      return AttentionPattern::lifetimes(random_ids(draw, n, 0, e.queries / 2),
                                         random_ids(draw, n, 0, e.queries), e.batch, heads, e.keys);
    }
    case 11: {
      const int64_t block = draw(1, 40), heads = draw.one_in(2) ? e.heads : 1;
      std::vector<std::vector<int32_t>> sees(
          static_cast<size_t>(heads * ((e.queries + block - 1) / block)));
      for (auto& list : sees)
        for (int32_t j = 0; j < (e.keys + block - 1) / block; ++j)
          if (draw.one_in(3)) list.push_back(j);
      return AttentionPattern::blocks(block, sees, 1, heads);
    }
    case 12: {
      const int64_t count = draw(1, 9);
      return AttentionPattern::indices(
          random_ids(draw, e.heads * e.queries * count, -1, e.keys - 1), 1, e.heads, e.queries,
          count);
    }
    case 13:
      return random_pattern(draw, e, depth - 1) | random_pattern(draw, e, depth - 1);
    case 14:
      return random_pattern(draw, e, depth - 1) & random_pattern(draw, e, depth - 1);
    case 17: {
      const int64_t count = draw(0, std::min<int64_t>({3, e.queries - 1, e.keys - 1}));
      return AttentionPattern::globals(
          count,
          random_pattern(draw, {e.batch, e.heads, e.queries - count, e.keys - count}, depth - 1));
    }
    case 15: {
      std::vector<AttentionPattern> heads;
      for (int64_t h = 0; h < e.heads; ++h) heads.push_back(random_pattern(draw, e, depth - 1));
      return AttentionPattern::per_head(heads);
    }
    default: {
      const int64_t first = draw(0, e.keys - 1);
      std::vector<KeyRegion> regions;
      for (const int64_t keys : {first, e.keys - first}) {
        const PatternExtents own{e.batch, e.heads, e.queries, keys};
        if (keys > 0) regions.push_back({keys, random_pattern(draw, own, depth - 1)});
      }
      return AttentionPattern::regions(regions);
    }
  }
}

/// Halo blocks with strided queries, or centred taps over pooled keys: patterns that may have
/// virtual keys, which others do not combine. Sets the lengths of `e` to what it fits.
inline AttentionPattern random_bordered_pattern(Draw& draw, PatternExtents& e) {
  const bool taps = draw.one_in(2);
  const auto grid = random_grid(draw, draw(1, taps ? 30 : 140));  // up to 8 queries a pooled key
  e.queries = e.keys = 1;
  for (const int64_t length : grid) e.keys *= length;
  if (taps) {
    std::vector<TapAxis> axes;
    for (const int64_t length : grid) {
      axes.push_back(
          {.keys = length, .taps = 2 * draw(0, 4) + 1, .dilation = draw(1, 3), .pool = draw(1, 2)});
      e.queries *= length * axes.back().pool;
    }
    return centred_taps(axes);
  }
  std::vector<HaloAxis> axes;
  for (const int64_t length : grid) {
    const int64_t stride = draw(1, 3);
    axes.push_back(
        {.length = length, .block = stride * draw(1, 6), .halo = draw(0, 5), .stride = stride});
    e.queries *= (length + stride - 1) / stride;
  }
  constexpr Border kBorders[] = {Border::crop, Border::shift, Border::virtual_keys};
  return AttentionPattern::halo(axes, kBorders[draw(0, 2)]);
}

inline Tensor random_tensor(Draw& draw, const Shape& shape, float low = -1.0f, float high = 1.0f) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (float& x : values) x = draw.uniform(low, high);
  return Tensor::from(values, shape);
}

/// Any terms of a score.
inline AttentionScore random_score(Draw& draw, const PatternExtents& e) {
  AttentionScore score;
  const auto or_one = [&](int64_t n) { return draw.one_in(2) ? n : 1; };
  if (draw.one_in(3)) score.scale = draw.uniform(-0.8f, 0.8f) + 0.01;
  if (draw.one_in(4)) score.softcap = draw.uniform(0.5f, 3.0f);
  if (draw.one_in(4))
    score.query_temperature =
        random_tensor(draw, {or_one(e.batch), or_one(e.heads), e.queries}, 0.5f, 2.0f);
  if (draw.one_in(4))
    score.key_temperature =
        random_tensor(draw, {or_one(e.batch), or_one(e.heads), e.keys}, 0.5f, 2.0f);
  if (draw.one_in(3))
    score.bias =
        random_tensor(draw, {or_one(e.batch), or_one(e.heads), or_one(e.queries), or_one(e.keys)});
  if (draw.one_in(4)) {
    const int64_t reach = draw(0, 40);
    score.relative = relative_positions(e.queries, e.keys, reach, draw(-2, 2));
    score.table = random_tensor(draw, {or_one(e.heads), 2 * reach + 1});
  }
  for (RelativeLogits& axis : score.relative_logits) {
    if (!draw.one_in(6)) continue;
    const int64_t reach = draw(0, 20);
    axis.relative = relative_positions(e.queries, e.keys, reach, draw(-2, 2));
    axis.logits = random_tensor(draw, {or_one(e.batch), or_one(e.heads), e.queries, 2 * reach + 1});
  }
  if (draw.one_in(4))
    score.sink = draw.one_in(2)
                     ? random_tensor(draw, {e.heads})
                     : random_tensor(draw, {or_one(e.batch), or_one(e.heads), or_one(e.queries)});
  if (draw.one_in(4))
    for (int64_t h = 0; h < e.heads; ++h) score.alibi.push_back(draw.uniform(0.0f, 0.3f));
  return score;
}

}  // namespace heed::testing
