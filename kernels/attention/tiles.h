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

#include "core/allocator.h"
#include "kernels/attention/plan.h"

namespace heed::kernels::attn {

inline constexpr int kQueries = 64;   // queries of a block: the lanes of a tile
inline constexpr int kRowUnit = 16;   // packed rows and widths are padded to a multiple of this
inline constexpr int64_t kKeys = 64;  // keys of a tile, forward
inline constexpr int64_t kBlocksAtOnce = 4;   // query blocks that share a passing tile of keys
inline constexpr int64_t kForwardTasks = 16;  // to aim at
inline constexpr int64_t kKeysBackward = 64;
inline constexpr int64_t kBlocksAtOnceBackward = 2;
inline constexpr int64_t kSplitKeys = 512;  // keys of a task when decoding

constexpr size_t padded(int64_t n) {
  return static_cast<size_t>((n + kRowUnit - 1) / kRowUnit * kRowUnit);
}

/// Row stride of packed rows: an odd number of cache lines, so that a column of many rows spreads
/// over all sets of the cache.
constexpr size_t row_stride(int64_t width) { return (padded(width) / 16 | 1) * 16; }

/// Every query block of the heads that share one key/value head, cut into `slices`: a task is one
/// slice of one (batch, key/value head). The cut depends on the problem alone.
struct Tasks {
  int64_t pairs = 0, blocks = 0, slices = 0;

  /// At least `wanted` tasks, if slices of `least` query blocks allow.
  Tasks(const Extents& e, int64_t wanted, int64_t least)
      : pairs(e.batch * e.kv_heads),
        blocks(e.group() * blocks_per_head(e)),
        slices(std::clamp<int64_t>(pairs == 0 ? 1 : (wanted + pairs - 1) / pairs, 1,
                                   std::max<int64_t>(1, blocks / least))) {}

  static int64_t blocks_per_head(const Extents& e) { return (e.queries + kQueries - 1) / kQueries; }
  int64_t count() const { return pairs * slices; }
  int64_t begin(int64_t slice) const { return blocks * slice / slices; }
};

/// One block of up to kQueries queries of one head.
struct QueryBlock {
  int64_t head = 0, first = 0, rows = 0;

  QueryBlock(const Extents& e, int64_t kv_head, int64_t block) {
    const int64_t per_head = Tasks::blocks_per_head(e);
    head = kv_head * e.group() + block / per_head;
    first = block % per_head * kQueries;
    rows = std::min<int64_t>(kQueries, e.queries - first);
  }
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
