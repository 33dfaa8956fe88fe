// dK and dV: a block of 4 warps takes 64 keys of one key/value head, a warp 16 of them, and walks
// the blocks of queries of all heads that share them. Tiles of scores are held as S^T. Q is held
// twice, since the next one arrives while dS^T Q needs the present one. Of wide heads a block sums
// up kColumns columns, which is what registers hold, from all of the scores.
#pragma once

#include "kernels/attention/cuda/backward.h"

namespace heed::kernels::cuda {

/// The statistics of 64 queries, twice.
struct TileStatistics {
  QueryStatistics of[2][kDeviceTile];
};

__device__ inline void load_statistics(QueryStatistics* to, const FusedCall& c, int b, int h,
                                       int first) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < kDeviceTile) to[i] = query_statistics(c, b, h, first + i);
}

template <class T, int kWidth, bool kTerms>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_backward_keys(const __grid_constant__ FusedCall c) {
  constexpr int kColumns = kWidth > 128 ? 128 : kWidth;
  constexpr int kHeld = kWidth > 64 ? 1 : kUnits;
  using Tile = SharedTile<T, kWidth>;
  T* const memory = dynamic_shared<T>();
  const Tile k{memory}, v{memory + Tile::kElements}, dout{memory + 2 * Tile::kElements};
  T* const queries = memory + 3 * Tile::kElements;
  TileStatistics& statistics = shared<TileStatistics>();
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
  const int row = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  const int heads = c.batch * c.kv_heads, place = static_cast<int>(blockIdx.x);
  const int column = place % (kWidth / kColumns) * kColumns,
            line = place / (kWidth / kColumns) / heads;
  const int at = place / (kWidth / kColumns) % heads, b = at / c.kv_heads, hk = at % c.kv_heads;
  const int group = c.heads / c.kv_heads, first = line * kDeviceTile;
  const float factor = c.score.scale * kLog2E;
  const int key = first + row + g;
  FragmentC dk[kColumns / 8] = {}, dv[kColumns / 8] = {};

  PlanWalk walk(c.plan, c.plan.keys, b, hk * group, (hk + 1) * group, line, 0,
                c.plan.queries.lines);
  const auto load_queries = [&](T* to, QueryStatistics* its) {
    load_tile(Tile{to}, HeadRows<T>(c.q, b, walk.head()), c.plan.queries.order,
              walk.tile() * kDeviceTile, c.queries);
    load_statistics(its, c, b, walk.head(), walk.tile() * kDeviceTile);
  };
  const auto load_dout = [&] {
    load_tile(dout, HeadRows<T>(c.dout, b, walk.head()), c.plan.queries.order,
              walk.tile() * kDeviceTile, c.queries);
  };
  load_tile(k, HeadRows<T>(c.k, b, hk), c.plan.keys.order, first, c.keys);
  load_tile(v, HeadRows<T>(c.v, b, hk), c.plan.keys.order, first, c.keys);
  if (walk.more()) {
    load_queries(queries, statistics.of[0]);
    load_dout();
  }
  cp_async_commit();
  for (int turn = 0; walk.more(); turn ^= 1) {
    const Tile q{queries + turn * Tile::kElements};
    const int query = walk.tile() * kDeviceTile;
    const PairScore pair(c, b, walk.head());
    const SeenPairs seen(c.plan.keys, walk.mask(), row, c.keys - first, c.queries - query);
    walk.advance();
    cp_async_wait<0>();
    __syncthreads();  // q, its statistics and dout are here, the next q's place is free
    if (walk.more()) load_queries(queries + (turn ^ 1) * Tile::kElements, statistics.of[turn ^ 1]);
    cp_async_commit();
    // with wide heads registers hold the scores of one unit of queries at a time
#pragma unroll 1
    for (int unit = 0; unit < kUnits; unit += kHeld) {
      const bool any = (seen.units >> unit & ((1u << kHeld) - 1)) != 0;
      Scores<kHeld> s, ds;
      if (any) {
        score_products(s, k, row, q, unit, seen.units);
        score_products(ds, v, row, dout, unit, seen.units);
#pragma unroll
        for (int n = 0; n < 2 * kHeld; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int of = 8 * (2 * unit + n) + 2 * t + i % 2;
            const PairGradient<kTerms> gradient(
                pair, factor, s.c[n].r[i], ds.c[n].r[i], statistics.of[turn][of],
                seen.all || seen.at(2 * unit + n, i), query + of, key + 8 * (i / 2));
            s.c[n].r[i] = gradient.dropped;
            ds.c[n].r[i] = gradient.ds;
          }
        }
        weighted_sums(dv, s, dout, column, unit, seen.units);
      }
      if (unit + kHeld == kUnits) {
        __syncthreads();  // dout is free
        if (walk.more()) load_dout();
        cp_async_commit();
      }
      if (any) weighted_sums(dk, ds, q, column, unit, seen.units);
    }
  }
  cp_async_wait<0>();
  __syncthreads();
  // staged where keys and values were: a warp's rows are its own
  const SharedTile<T, kColumns> staged_k{k.data}, staged_v{v.data};
  put_sums<T, kColumns, kColumns>(dk, c.score.scale, c.score.scale, staged_k, row);
  put_sums<T, kColumns, kColumns>(dv, 1.0f, 1.0f, staged_v, row);
  __syncwarp();
  store_warp_rows(staged_k, row, HeadRows<T>(c.dk, b, hk), column, c.plan.keys.order, first,
                  c.keys);
  store_warp_rows(staged_v, row, HeadRows<T>(c.dv, b, hk), column, c.plan.keys.order, first,
                  c.keys);
}

template <class T, int kWidth, bool kTerms>
void launch_backward_keys(const FusedCall& c) {
  constexpr int kParts = kWidth > 128 ? kWidth / 128 : 1;
  const auto blocks = static_cast<unsigned>(c.plan.keys.lines * c.batch * c.kv_heads * kParts);
  launch(attention_backward_keys<T, kWidth, kTerms>, blocks, kAttentionThreads,
         5 * SharedTile<T, kWidth>::kBytes, current_stream(), c);
}

}  // namespace heed::kernels::cuda
