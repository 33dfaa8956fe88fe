// Products of a warp's 16 rows with a tile of 64 tokens. bf16 takes m16n8k16 with ldmatrix; f32
// takes tf32 three times over, each number as the sum of two tf32: what is left out is 2^-22 of a
// product (Ootomo and Yokota, arXiv 2203.03341, without its scaling).
#pragma once

#include "kernels/attention/cuda/tile.h"
#include "kernels/cuda/rows.h"

namespace heed::kernels::cuda {

inline constexpr int kUnits = kDeviceTile / 16;  // of 16 tokens: two fragments' columns

/// Results of 16 rows by kHeld units of tokens: fragment n holds tokens 8n .. 8n + 7 of these.
template <int kHeld = kUnits>
struct Scores {
  FragmentC c[2 * kHeld];
};

/// How T multiplies. A: 16 rows, 16 deep. B: 16 deep, 16 columns.
template <class T>
struct Operands;

template <>
struct Operands<bfloat16> {
  static constexpr int kUnrolled = 16;  ///< steps of the depth that are written out
  struct A {
    FragmentA f;
  };
  struct B {
    FragmentB f[2];
  };

  /// Rows row .. row + 15, columns column .. column + 15 of a tile.
  template <class Tile>
  __device__ static A rows(Tile tile, int row, int column) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    A a;
    ldmatrix_x4(a.f.r, tile.at(0, row + lane % 16, column, lane / 16 * 8));
    return a;
  }
  /// The transpose of rows token .. token + 15, columns column .. column + 15.
  template <class Tile>
  __device__ static B tokens_across(Tile tile, int token, int column) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    uint32_t r[4];
    ldmatrix_x4(r, tile.at(token, lane % 8 + lane / 16 * 8, column, lane / 8 % 2 * 8));
    return {{{{r[0], r[1]}}, {{r[2], r[3]}}}};
  }
  /// Rows token .. token + 15, columns column .. column + 15, in the order that scores() has.
  template <class Tile>
  __device__ static B tokens_deep(Tile tile, int token, int column) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    uint32_t r[4];
    ldmatrix_x4<true>(r, tile.at(token, lane % 16, column, lane / 16 * 8));
    return {{{{r[0], r[1]}}, {{r[2], r[3]}}}};
  }
  /// 16 rows by the 16 tokens of two fragments of scores, rounded.
  __device__ static A scores(const FragmentC& c0, const FragmentC& c1) {
    return {{{pack_bf16(c0.r[0], c0.r[1]), pack_bf16(c0.r[2], c0.r[3]), pack_bf16(c1.r[0], c1.r[1]),
              pack_bf16(c1.r[2], c1.r[3])}}};
  }
  __device__ static void multiply(FragmentC& c, const A& a, const B& b, int half) {
    mma<bfloat16>(c, a.f, b.f[half]);
  }
};

// A step is 12 products and the splitting of 32 numbers for each unit: written out for all of the
// depth it is more than the assembler schedules in minutes.
template <>
struct Operands<float> {
  static constexpr int kUnrolled = 1;
  struct A {
    FragmentA high[2], low[2];  // by 8 deep
  };
  struct B {
    FragmentB high[2][2], low[2][2];  // by 8 columns, 8 deep
  };

  __device__ static void split(float x, uint32_t& high, uint32_t& low) {
    high = to_tf32(x);
    low = to_tf32(x - __uint_as_float(high));
  }
  template <class Tile>
  __device__ static A rows(Tile tile, int row, int column) {
    const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    A a;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      split(*tile.at(row + g + i % 2 * 8, column + t + i / 2 * 4), a.high[i / 4].r[i % 4],
            a.low[i / 4].r[i % 4]);
    }
    return a;
  }
  template <class Tile>
  __device__ static B tokens_across(Tile tile, int token, int column) {
    const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    B b;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      split(*tile.at(token + g + i / 4 * 8, column + t + i % 4 * 4),
            b.high[i / 4][i / 2 % 2].r[i % 2], b.low[i / 4][i / 2 % 2].r[i % 2]);
    }
    return b;
  }
  // A lane's scores are of tokens 2t and 2t + 1: it takes these as places t and t + 4 of the depth.
  template <class Tile>
  __device__ static B tokens_deep(Tile tile, int token, int column) {
    const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    B b;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      split(*tile.at(token + i / 2 % 2 * 8 + 2 * t + i % 2, column + g + i / 4 * 8),
            b.high[i / 4][i / 2 % 2].r[i % 2], b.low[i / 4][i / 2 % 2].r[i % 2]);
    }
    return b;
  }
  __device__ static A scores(const FragmentC& c0, const FragmentC& c1) {
    A a;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at = i % 2 * 2 + i / 2;
      split(c0.r[at], a.high[0].r[i], a.low[0].r[i]);
      split(c1.r[at], a.high[1].r[i], a.low[1].r[i]);
    }
    return a;
  }
  __device__ static void multiply(FragmentC& c, const A& a, const B& b, int half) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      mma_tf32(c, a.low[k], b.high[half][k]);
      mma_tf32(c, a.high[k], b.low[half][k]);
      mma_tf32(c, a.high[k], b.high[half][k]);
    }
  }
};

/// s = a b^T for rows row .. row + 15 of tile a and the units of tile b's tokens, from `first` on
/// as many as s holds, that have a bit in `units`; zero elsewhere.
template <class T, int kWidth, int kHeld>
__device__ void score_products(Scores<kHeld>& s, SharedTile<T, kWidth> a, int row,
                               SharedTile<T, kWidth> b, int first, unsigned units) {
  using O = Operands<T>;
  constexpr unsigned kAll = (1u << kHeld) - 1;
#pragma unroll
  for (FragmentC& c : s.c) c = {};
  if ((units >> first & kAll) == kAll) {  // no branches between the products
#pragma unroll O::kUnrolled
    for (int d = 0; d < kWidth; d += 16) {
      const auto left = O::rows(a, row, d);
#pragma unroll
      for (int u = 0; u < kHeld; ++u) {
        const auto right = O::tokens_across(b, 16 * (first + u), d);
        O::multiply(s.c[2 * u], left, right, 0);
        O::multiply(s.c[2 * u + 1], left, right, 1);
      }
    }
    return;
  }
#pragma unroll
  for (int u = 0; u < kHeld; ++u) {
    if ((units >> (first + u) & 1u) == 0) continue;
#pragma unroll O::kUnrolled
    for (int d = 0; d < kWidth; d += 16) {
      const auto left = O::rows(a, row, d);
      const auto right = O::tokens_across(b, 16 * (first + u), d);
      O::multiply(s.c[2 * u], left, right, 0);
      O::multiply(s.c[2 * u + 1], left, right, 1);
    }
  }
}

/// sums += s b[:, first_column ..] over the tokens of the units from `first` on; kColumns8 groups
/// of 8 columns of tile b.
template <int kColumns8, class T, int kWidth, int kHeld>
__device__ void weighted_sums(FragmentC (&sums)[kColumns8], const Scores<kHeld>& s,
                              SharedTile<T, kWidth> b, int first_column, int first,
                              unsigned units) {
  using O = Operands<T>;
#pragma unroll
  for (int u = 0; u < kHeld; ++u) {
    if ((units >> (first + u) & 1u) == 0) continue;
    const auto left = O::scores(s.c[2 * u], s.c[2 * u + 1]);
#pragma unroll
    for (int n = 0; n < kColumns8 / 2; ++n) {
      const auto right = O::tokens_deep(b, 16 * (first + u), first_column + 16 * n);
      O::multiply(sums[2 * n], left, right, 0);
      O::multiply(sums[2 * n + 1], left, right, 1);
    }
  }
}

/// A warp's sums, times a factor for each half of its rows, to rows row .. row + 15 of a tile.
template <class T, int kWidth, int kColumns>
__device__ void put_sums(const FragmentC (&sums)[kColumns / 8], float upper, float lower,
                         SharedTile<T, kWidth> tile, int row) {
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n) {
    const float x[4] = {sums[n].r[0] * upper, sums[n].r[1] * upper, sums[n].r[2] * lower,
                        sums[n].r[3] * lower};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float pair[2] = {x[2 * half], x[2 * half + 1]};
      store(pair, tile.at(row + g + 8 * half, 8 * n + 2 * t));
    }
  }
}

}  // namespace heed::kernels::cuda
