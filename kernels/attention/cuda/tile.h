// Tiles of 64 tokens in shared memory, filled by asynchronous copies. A row's pieces of 16 bytes
// are swapped by the row's number, so that the 8 rows that ldmatrix reads together, and the words
// that a warp reads one by one, lie in different banks.
#pragma once

#include "kernels/attention/cuda/fused_call.h"
#include "kernels/cuda/mma.h"
#include "kernels/cuda/vector.h"

namespace heed::kernels::cuda {

using attn::kDeviceTile;

inline constexpr int kAttentionThreads = 128;  // 4 warps, each with 16 of a tile's 64 rows
inline constexpr int kWarpRows = 16;

/// [64, kWidth] elements of T.
template <class T, int kWidth>
class SharedTile {
 public:
  static constexpr int kPiece = kLanes<T>;
  static constexpr int kPieces = kWidth / kPiece;  // of a row: 4 or more
  static constexpr int kElements = kDeviceTile * kWidth;
  static constexpr size_t kBytes = kElements * sizeof(T);
  T* data;

  __device__ T* piece(int row, int index) const {
    return data + row * kWidth + (index ^ turn(row)) * kPiece;
  }
  __device__ T* at(int row, int column) const {
    return piece(row, column / kPiece) + column % kPiece;
  }
  /// at(row + lane_row, column + lane_column) for multiples of 16 and a lane's part below 16 of the
  /// columns: what differs between calls of one lane are constants, and few of them.
  __device__ T* at(int row, int lane_row, int column, int lane_column) const {
    constexpr int kTurned = kPieces >= 8 ? 7 : kPieces - 1;
    const int index = column / kPiece;
    const int lane = lane_row * kWidth + lane_column % kPiece +
                     ((lane_column / kPiece ^ turn(lane_row)) ^ (index & kTurned)) * kPiece;
    return data + lane + (row * kWidth + (index & ~kTurned) * kPiece);
  }

 private:
  __device__ static int turn(int row) {
    constexpr int kRowsOfLine = kPieces >= 8 ? 1 : 8 / kPieces;  // a line: all 32 banks
    constexpr int kMask = (kPieces >= 8 ? 8 : kPieces) - 1;
    return row / kRowsOfLine & kMask;
  }
};

/// The rows of one head, by token.
template <class T>
struct HeadRows {
  T* data;
  int64_t stride;
  int32_t width;
  bool wide;

  __device__ HeadRows(const attn::FusedRows& rows, int b, int h)
      : data(static_cast<T*>(rows.data) + b * rows.batch + h * rows.head),
        stride(rows.row),
        width(rows.width),
        wide(rows.wide) {}
};

__device__ inline int token_of(const int32_t* order, int slot) {
  return order == nullptr ? slot : order[slot];
}

/// Starts to copy the tokens of slots [first, first + 64) into a tile; zeros behind slot `end` and
/// behind the rows' width. All threads of the block; the caller commits, waits and synchronises.
template <class T, int kWidth>
__device__ void load_tile(SharedTile<T, kWidth> tile, const HeadRows<T>& rows, const int32_t* order,
                          int first, int end) {
  using Tile = SharedTile<T, kWidth>;
  constexpr int kPiece = Tile::kPiece;
  constexpr int kEach = kDeviceTile * Tile::kPieces / kAttentionThreads;
  static_assert(kDeviceTile * Tile::kPieces % kAttentionThreads == 0);
  const auto for_pieces = [&](int i, auto copy) {
    const int n = i * kAttentionThreads + static_cast<int>(threadIdx.x);
    const int row = n / Tile::kPieces, column = n % Tile::kPieces * kPiece;
    const bool valid = first + row < end && column < rows.width;
    const T* from = rows.data;
    if (valid) from += token_of(order, first + row) * rows.stride + column;
    copy(tile.piece(row, n % Tile::kPieces), from, column, valid);
  };
  if (rows.wide) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      for_pieces(i, [](T* to, const T* from, int, bool valid) { cp_async_16(to, from, valid); });
    }
    return;
  }
#pragma unroll 1
  for (int i = 0; i < kEach; ++i) {
    for_pieces(i, [&](T* to, const T* from, int column, bool valid) {
#pragma unroll 1
      for (int k = 0; k < kPiece; ++k) to[k] = valid && column + k < rows.width ? from[k] : T(0.0f);
    });
  }
}

/// A warp's 16 rows of a tile, to the tokens of slots `first` + row < end. Only what the warp
/// itself has written to these rows is read, behind a __syncwarp().
template <class T, int kWidth>
__device__ void store_warp_rows(SharedTile<T, kWidth> tile, int tile_row, const HeadRows<T>& rows,
                                int first_column, const int32_t* order, int first, int end) {
  using Tile = SharedTile<T, kWidth>;
  constexpr int kPiece = Tile::kPiece;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int n = lane; n < kWarpRows * Tile::kPieces; n += 32) {
    const int row = tile_row + n / Tile::kPieces, piece = n % Tile::kPieces;
    const int column = first_column + piece * kPiece;
    if (first + row >= end || column >= rows.width) continue;
    const T* from = tile.piece(row, piece);
    T* to = rows.data + token_of(order, first + row) * rows.stride + column;
    if (rows.wide) {
      *reinterpret_cast<Packed<T, kPiece>*>(to) = *reinterpret_cast<const Packed<T, kPiece>*>(from);
    } else {
      for (int k = 0; k < kPiece && column + k < rows.width; ++k) to[k] = from[k];
    }
  }
}

}  // namespace heed::kernels::cuda
