// How the fused kernels cut a problem: blocks of queries that live in vector lanes, blocks of keys,
// tasks for threads.
//
// A tile of scores is held as S^T: rows are keys, lanes are queries. So the softmax's maxima and
// sums run down the rows, lane by lane, and neither K nor V is ever transposed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "core/allocator.h"
#include "kernels/attention/plan.h"

namespace heed::kernels::attn {

inline constexpr int kQueries = kTileSide;  // queries of a block: the lanes of a tile
inline constexpr int kRowUnit =
    kTileUnit;  // packed rows and widths are padded to multiples of this
inline constexpr int64_t kKeys = kTileSide;   // keys of a tile
inline constexpr int64_t kBlocksAtOnce = 4;   // query blocks that share a passing tile of keys
inline constexpr int64_t kForwardTasks = 16;  // to aim at
inline constexpr int64_t kBlocksAtOnceBackward = 2;
inline constexpr int64_t kSplitKeys = 512;  // keys of a task when decoding

constexpr size_t padded(int64_t n) {
  return static_cast<size_t>((n + kRowUnit - 1) / kRowUnit * kRowUnit);
}

/// Row stride of packed rows: an odd number of cache lines, so that a column of many rows spreads
/// over all sets of the cache.
constexpr size_t row_stride(int64_t width) { return (padded(width) / 16 | 1) * 16; }

/// Part of the query blocks of the heads that share one key/value head of one batch. Blocks are
/// numbered through these heads.
struct Task {
  int64_t b = 0, kv_head = 0;
  int64_t begin = 0, end = 0;             // blocks
  int64_t first_tile = 0, last_tile = 0;  // of keys that they see

  int64_t first_key() const { return first_tile * kKeys; }
  int64_t keys() const { return (last_tile - first_tile) * kKeys; }
};

/// Cuts every (batch, key/value head) into `slices` tasks of about equal cost, in this order. The
/// cut depends on the problem alone.
struct Tasks {
  int64_t slices = 1;
  std::vector<Task> list;

  /// At least `wanted` tasks, if slices of `least` query blocks allow.
  Tasks(const Extents& e, const TilePlan& plan, int64_t wanted, int64_t least);
  int64_t count() const { return static_cast<int64_t>(list.size()); }
};

inline int64_t blocks_per_head(const Extents& e) { return (e.queries + kQueries - 1) / kQueries; }

/// One block of up to kQueries queries of one head.
struct QueryBlock {
  int64_t head = 0, index = 0, first = 0, rows = 0;

  QueryBlock(const Extents& e, int64_t kv_head, int64_t block) {
    const int64_t per_head = blocks_per_head(e);
    head = kv_head * e.group() + block / per_head;
    index = block % per_head;
    first = index * kQueries;
    rows = std::min<int64_t>(kQueries, e.queries - first);
  }
};

/// Walks the key tiles of a query block in order.
class TileCursor {
 public:
  static constexpr int32_t kEnd = INT32_MAX;

  explicit TileCursor(std::span<const TileRun> runs) : runs_(runs) { enter(); }
  /// The current tile; kEnd behind the last.
  int32_t tile() const { return tile_; }
  /// Its mask in the plan; -1: full.
  int32_t mask() const { return runs_.front().mask; }
  void advance() {
    if (++tile_ < runs_.front().last) return;
    runs_ = runs_.subspan(1);
    enter();
  }

 private:
  void enter() { tile_ = runs_.empty() ? kEnd : runs_.front().first; }

  std::span<const TileRun> runs_;
  int32_t tile_ = kEnd;
};

/// Buffers cut from one allocation, each aligned to 64 bytes: {where the pointer goes, floats}.
class Scratch {
 public:
  struct Piece {
    float** buffer;
    size_t floats;
  };
  explicit Scratch(std::initializer_list<Piece> pieces) : storage_(total(pieces), kCpu) {
    auto* next = static_cast<float*>(storage_.data);
    for (const Piece& piece : pieces) {
      *piece.buffer = next;
      next += rounded(piece.floats);
    }
  }

 private:
  static size_t rounded(size_t floats) { return (floats + 15) / 16 * 16; }
  static size_t total(std::initializer_list<Piece> pieces) {
    size_t floats = 0;
    for (const Piece& piece : pieces) floats += rounded(piece.floats);
    return floats * sizeof(float);
  }

  Storage storage_;
};

}  // namespace heed::kernels::attn
