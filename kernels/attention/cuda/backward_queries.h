// dQ: a block of 4 warps takes 64 queries of one head and walks the tiles of keys as the forward
// kernel does. K is held twice, since the next one arrives while dS K needs the present one.
#pragma once

#include "kernels/attention/cuda/backward.h"

namespace heed::kernels::cuda {

template <class T, int kWidth, bool kTerms>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_backward_queries(const __grid_constant__ FusedCall c) {
  constexpr int kHeld = kWidth * sizeof(T) > 256 ? 1 : kUnits;
  using Tile = SharedTile<T, kWidth>;
  T* const memory = dynamic_shared<T>();
  const Tile q{memory}, dout{memory + Tile::kElements}, v{memory + 2 * Tile::kElements};
  T* const keys = memory + 3 * Tile::kElements;
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
  const int row = static_cast<int>(threadIdx.x) / 32 * kWarpRows;
  const int lines = c.plan.queries.lines, place = static_cast<int>(blockIdx.x);
  const int heads = c.batch * c.heads, line = lines - 1 - place / heads;
  const int b = place % heads / c.heads, h = place % heads % c.heads;
  const int group = c.heads / c.kv_heads, first = line * kDeviceTile;
  const HeadRows<T> k_rows(c.k, b, h / group), v_rows(c.v, b, h / group);
  const PairScore pair(c, b, h);
  const float factor = c.score.scale * kLog2E;
  const int query = first + row + g;
  const QueryStatistics statistics[2] = {query_statistics(c, b, h, query),
                                         query_statistics(c, b, h, query + 8)};
  FragmentC dq[kWidth / 8] = {};

  PlanWalk walk(c.plan, c.plan.queries, b, h, h + 1, line, 0, c.plan.keys.lines);
  load_tile(q, HeadRows<T>(c.q, b, h), c.plan.queries.order, first, c.queries);
  load_tile(dout, HeadRows<T>(c.dout, b, h), c.plan.queries.order, first, c.queries);
  if (walk.more()) {
    load_tile(Tile{keys}, k_rows, c.plan.keys.order, walk.tile() * kDeviceTile, c.keys);
    load_tile(v, v_rows, c.plan.keys.order, walk.tile() * kDeviceTile, c.keys);
  }
  cp_async_commit();
  for (int turn = 0; walk.more(); turn ^= 1) {
    const Tile k{keys + turn * Tile::kElements}, next_k{keys + (turn ^ 1) * Tile::kElements};
    const int key = walk.tile() * kDeviceTile;
    const SeenPairs seen(c.plan.queries, walk.mask(), row, c.queries - first, c.keys - key);
    walk.advance();
    cp_async_wait<0>();
    __syncthreads();  // k and v are here, next_k is free
    if (walk.more())
      load_tile(next_k, k_rows, c.plan.keys.order, walk.tile() * kDeviceTile, c.keys);
    cp_async_commit();
    // with wide heads registers hold the scores of one unit of keys at a time
#pragma unroll 1
    for (int unit = 0; unit < kUnits; unit += kHeld) {
      const bool any = (seen.units >> unit & ((1u << kHeld) - 1)) != 0;
      Scores<kHeld> s, dp;
      if (any) {
        score_products(s, q, row, k, unit, seen.units);
        score_products(dp, dout, row, v, unit, seen.units);
#pragma unroll
        for (int n = 0; n < 2 * kHeld; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const int of = 2 * unit + n;
            s.c[n].r[i] = PairGradient<kTerms>(pair, factor, s.c[n].r[i], dp.c[n].r[i],
                                               statistics[i / 2], seen.all || seen.at(of, i),
                                               query + 8 * (i / 2), key + 8 * of + 2 * t + i % 2)
                              .ds;
          }
        }
      }
      if (unit + kHeld == kUnits) {
        __syncthreads();  // v is free
        if (walk.more()) load_tile(v, v_rows, c.plan.keys.order, walk.tile() * kDeviceTile, c.keys);
        cp_async_commit();
      }
      if (any) weighted_sums(dq, s, k, 0, unit, seen.units);
    }
  }
  cp_async_wait<0>();
  __syncthreads();
  put_sums<T, kWidth, kWidth>(dq, c.score.scale, c.score.scale, q, row);
  __syncwarp();
  store_warp_rows(q, row, HeadRows<T>(c.dq, b, h), 0, c.plan.queries.order, first, c.queries);
}

template <class T, int kWidth, bool kTerms>
void launch_backward_queries(const FusedCall& c) {
  const auto blocks = static_cast<unsigned>(c.plan.queries.lines * c.batch * c.heads);
  launch(attention_backward_queries<T, kWidth, kTerms>, blocks, kAttentionThreads,
         5 * SharedTile<T, kWidth>::kBytes, current_stream(), c);
}

}  // namespace heed::kernels::cuda
