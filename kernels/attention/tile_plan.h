// The tile plan of a pattern and a shape: for each block of queries the tiles of keys that hold
// pairs. Built once, cached, and walked by the forward and the backward kernels alike.
//
// Queries and keys are counted by *slot*: their place in the plan's order of tokens, in which the
// pattern's tiles are densest. Blocks and tiles are kTileSide slots long.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/attention/pattern.h"

namespace heed::kernels::attn {

/// A rectangle of a tile, in units of 16 keys (rows) and 16 queries (lanes).
struct TileRect {
  uint8_t row = 0, rows = 0, lane = 0, lanes = 0;
};

inline constexpr int kTileUnit = 16;

/// A partial tile: its bits, and rectangles that cover them all without overlap.
struct TileMask {
  TileBits bits{};
  uint16_t active = 0;  ///< bit 4 row + lane: the unit holds pairs
  uint8_t rect_count = 0;
  TileRect rects[8];
};

/// Tiles [first, last) of keys, all full; or one partial tile.
struct TileRun {
  int32_t first = 0, last = 0;
  int32_t mask = -1;  ///< index of the mask; -1: full
};

class TilePlan {
 public:
  TilePlan(const AttentionPattern& pattern, const PatternExtents& extents);

  int64_t blocks() const { return blocks_; }
  /// The runs of a block of queries, in order of keys.
  std::span<const TileRun> runs(int64_t b, int64_t h, int64_t block) const {
    const size_t at = static_cast<size_t>(variant(b, h) * blocks_ + block);
    return {runs_.data() + starts_[at], static_cast<size_t>(starts_[at + 1] - starts_[at])};
  }
  const TileMask& mask(int32_t index) const { return masks_[static_cast<size_t>(index)]; }
  /// What the block costs: units of 16 x 16 pairs, plus a little.
  int64_t cost(int64_t b, int64_t h, int64_t block) const {
    return costs_[static_cast<size_t>(variant(b, h) * blocks_ + block)];
  }

  /// Token of each slot; nullptr: slot and token are the same.
  const int32_t* query_order() const {
    return query_order_.empty() ? nullptr : query_order_.data();
  }
  const int32_t* key_order() const { return key_order_.empty() ? nullptr : key_order_.data(); }
  int64_t query_token(int64_t slot) const {
    return query_order_.empty() ? slot : query_order_[static_cast<size_t>(slot)];
  }
  int64_t key_token(int64_t slot) const {
    return key_order_.empty() ? slot : key_order_[static_cast<size_t>(slot)];
  }
  /// The slot of a token.
  int64_t query_slot(int64_t token) const {
    return query_slots_.empty() ? token : query_slots_[static_cast<size_t>(token)];
  }
  int64_t key_slot(int64_t token) const {
    return key_slots_.empty() ? token : key_slots_[static_cast<size_t>(token)];
  }

  /// Exact number of pairs over all batches and heads.
  int64_t pairs() const { return pairs_; }
  /// Full and partial tiles over all batches and heads.
  int64_t full_tiles() const { return full_tiles_; }
  int64_t partial_tiles() const { return partial_tiles_; }
  int64_t bytes() const;

 private:
  int64_t variant(int64_t b, int64_t h) const { return b * batch_step_ + h * head_step_; }
  void build(const PatternRule& rule, const PatternExtents& e);
  void build_dense(const PatternExtents& e);

  int64_t blocks_ = 0, batch_step_ = 0, head_step_ = 0;
  std::vector<TileRun> runs_;
  std::vector<int64_t> starts_, costs_;
  std::vector<TileMask> masks_;
  std::vector<int32_t> query_order_, key_order_, query_slots_, key_slots_;
  int64_t pairs_ = 0, full_tiles_ = 0, partial_tiles_ = 0;
};

/// The plan, from the cache where it has been built before. Throws when the pattern is not defined
/// for the extents.
std::shared_ptr<const TilePlan> tile_plan(const AttentionPattern& pattern,
                                          const PatternExtents& extents);

}  // namespace heed::kernels::attn
