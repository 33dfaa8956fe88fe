// Tiles of 64 tokens as wgmma reads them: panels of 64 columns side by side (kernels/cuda/wgmma.h).
// The same tile is an operand whose depth runs along its columns (Q, K in Q K^T) and one whose
// depth runs along its tokens (V in P V).
#pragma once

#include "kernels/attention/cuda/product.h"
#include "kernels/cuda/wgmma.h"

namespace heed::kernels::cuda {

/// [64, kWidth] of bf16.
template <int kWidth>
class PanelTile {
 public:
  static constexpr int kPanels = kWidth / kPanelColumns;
  static constexpr int kPanelBytes = kDeviceTile * kPanelRow;
  static constexpr int kBytes = kPanels * kPanelBytes;
  std::byte* data = nullptr;  ///< aligned to 1024 bytes

  /// All tokens; columns column .. column + 15 are the depth.
  __device__ uint64_t columns(int column) const {
    return panel_descriptor(panel(column) + column % kPanelColumns * 2);
  }
  /// Tokens token .. token + 15 are the depth; columns from a panel's first on.
  __device__ uint64_t tokens(int token, int column) const {
    return panel_descriptor(panel(column) + token * kPanelRow, kPanelBytes);
  }
  /// The 16 bytes of a row that begin with that column, a multiple of 8.
  __device__ std::byte* piece(int row, int column) const {
    return panel(column) + row * kPanelRow + ((column % kPanelColumns / 8 ^ row % 8) << 4);
  }

 private:
  __device__ std::byte* panel(int column) const {
    return data + column / kPanelColumns * kPanelBytes;
  }
};

/// A warpgroup's rows of a tile, in registers: step d holds columns 16 d .. 16 d + 15.
template <int kWidth>
struct HeldRows {
  FragmentA step[kWidth / 16];

  __device__ void load(PanelTile<kWidth> tile) {
    const int thread = static_cast<int>(threadIdx.x) % kWarpgroup, lane = thread % 32;
    const int row = thread / 32 * kWarpRows + lane % 16;
#pragma unroll
    for (int d = 0; d < kWidth / 16; ++d)
      ldmatrix_x4(step[d].r, tile.piece(row, 16 * d + lane / 16 * 8));
  }
};

/// Sums of 64 rows by kWidth columns, as wide as one product writes or several side by side.
template <int kWidth>
struct RowSums {
  static constexpr int kParts = kWidth > 128 ? kWidth / 128 : 1;
  static constexpr int kFragments = kWidth / kParts / 8;
  FragmentC part[kParts][kFragments];

  __device__ void clear() {
#pragma unroll
    for (auto& fragments : part) {
#pragma unroll
      for (FragmentC& f : fragments) f = {};
    }
  }
  /// Rows g and g + 8 of a warp, each by its factor.
  __device__ void scale(const float (&factor)[2]) {
#pragma unroll
    for (auto& fragments : part) {
#pragma unroll
      for (FragmentC& f : fragments) {
#pragma unroll
        for (int i = 0; i < 4; ++i) f.r[i] *= factor[i / 2];
      }
    }
  }
  /// Waits for all products but those of the newest kPending groups.
  template <int kPending>
  __device__ void finish() {
#pragma unroll
    for (auto& fragments : part) finished<kPending>(fragments);
  }
};

// What follows asks for products, between begin_products() and end_products().

/// s = a b^T of two tiles.
template <int kWidth>
__device__ void ask_scores(Scores<>& s, PanelTile<kWidth> a, PanelTile<kWidth> b) {
#pragma unroll
  for (int d = 0; d < kWidth; d += 16)
    multiply<Depth::along_columns>(s.c, a.columns(d), b.columns(d), d > 0);
}
template <int kWidth>
__device__ void ask_scores(Scores<>& s, const HeldRows<kWidth>& a, PanelTile<kWidth> b) {
#pragma unroll
  for (int d = 0; d < kWidth; d += 16)
    multiply<Depth::along_columns>(s.c, a.step[d / 16], b.columns(d), d > 0);
}

/// Scores rounded to bf16: unit u holds tokens 16 u .. 16 u + 15.
struct RoundedScores {
  FragmentA unit[kUnits];

  __device__ void round(const Scores<>& s) {
#pragma unroll
    for (int u = 0; u < kUnits; ++u)
      unit[u] = Operands<bfloat16>::scores(s.c[2 * u], s.c[2 * u + 1]).f;
  }
};

/// sums += s b
template <int kWidth>
__device__ void ask_sums(RowSums<kWidth>& sums, const RoundedScores& s, PanelTile<kWidth> b) {
  constexpr int kColumns = 8 * RowSums<kWidth>::kFragments;
#pragma unroll
  for (int part = 0; part < RowSums<kWidth>::kParts; ++part) {
#pragma unroll
    for (int u = 0; u < kUnits; ++u) {
      multiply<Depth::along_rows>(sums.part[part], s.unit[u], b.tokens(16 * u, part * kColumns),
                                  true);
    }
  }
}

/// Word j of lane t of four goes to lane j as its word t.
__device__ inline void transpose_words(uint32_t (&word)[4]) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int distance = 1; distance <= 2; distance *= 2) {
    const bool upper = (t & distance) != 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if ((j & distance) != 0) continue;
      uint32_t &low = word[j], &high = word[j + distance];
      const uint32_t got = __shfl_xor_sync(0xffffffffu, upper ? low : high, distance);
      if (upper)
        low = got;
      else
        high = got;
    }
  }
}

/// A warpgroup's sums, times a factor for each half of a warp's rows, to the tokens of slots
/// first + row < end: 16 bytes at a time, 64 in a row. rows.wide.
template <int kWidth>
__device__ void store_sums(const RowSums<kWidth>& sums, const float (&factor)[2],
                           const HeadRows<bfloat16>& rows, const int32_t* order, int first,
                           int end) {
  constexpr int kFragments = RowSums<kWidth>::kFragments;
  const int thread = static_cast<int>(threadIdx.x) % kWarpgroup, lane = thread % 32, t = lane % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int slot = first + thread / 32 * kWarpRows + lane / 4 + 8 * half;
    bfloat16* const to = slot < end ? rows.data + token_of(order, slot) * rows.stride : rows.data;
#pragma unroll
    for (int n = 0; n < kWidth / 8; n += 4) {
      uint32_t word[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const FragmentC& f = sums.part[n / kFragments][n % kFragments + j];
        word[j] = pack_bf16(f.r[2 * half] * factor[half], f.r[2 * half + 1] * factor[half]);
      }
      transpose_words(word);
      const int column = 8 * (n + t);
      if (slot < end && column < rows.width)
        *reinterpret_cast<Packed<uint32_t, 4>*>(to + column) = {word[0], word[1], word[2], word[3]};
    }
  }
}

}  // namespace heed::kernels::cuda
