// Fused attention, forward (FlashAttention-2, arXiv 2307.08691, algorithm 1). A block of 4 warps
// takes 64 queries of one head, a warp 16 of them; the tiles of keys that the plan lists pass by.
//
//   S = Q K^T     m' = max(m, max S)     P = 2^(S - m')     l = l 2^(m - m') + sum P
//   O = O 2^(m - m') + P V
//
// 4 N M D multiply-adds a head for the pairs of the plan; scores stay in registers. V arrives while
// S is computed, the next K while P V is: a barrier before each of the two products.
// Where few queries meet many keys, several blocks share these (FusedCall::splits).
#pragma once

#include "kernels/attention/cuda/plan_walk.h"
#include "kernels/attention/cuda/softmax.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/shared.h"

namespace heed::kernels::cuda {

using attn::FusedCall;

/// What a part of the keys adds up to, for the rows of a lane: see FusedCall::partial. `row` is the
/// head's first.
template <int kWidth>
__device__ void store_part(const FusedCall& c, int64_t row, int part, int query,
                           const FragmentC (&out)[kWidth / 8], const float (&max)[2],
                           const float (&sum)[2]) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int slot = query + 8 * half;
    if (slot >= c.queries) continue;
    float* to = c.partial + ((row + token_of(c.plan.queries.order, slot)) * c.splits + part) *
                                (c.value_dim + 2);
#pragma unroll
    for (int n = 0; n < kWidth / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = 8 * n + 2 * t + i;
        if (column < c.value_dim) to[column] = out[n].r[2 * half + i];
      }
    }
    if (t == 0) to[c.value_dim] = max[half], to[c.value_dim + 1] = sum[half];
  }
}

/// kTerms: whether the score has more than a positive scale, or there is dropout.
template <class T, int kWidth, bool kTerms>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_forward(const __grid_constant__ FusedCall c) {
  using Tile = SharedTile<T, kWidth>;
  const Tile q{dynamic_shared<T>()}, k{q.data + Tile::kElements}, v{k.data + Tile::kElements};
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
  const int row = static_cast<int>(threadIdx.x) / 32 * kWarpRows;  // the warp's first
  // the longest rows of a causal pattern first
  const int lines = c.plan.queries.lines, place = static_cast<int>(blockIdx.x) / c.splits;
  const int heads = c.batch * c.heads, line = lines - 1 - place / heads;
  const int b = place % heads / c.heads, h = place % heads % c.heads;
  const int group = c.heads / c.kv_heads, first = line * kDeviceTile;
  const int part = static_cast<int>(blockIdx.x) % c.splits;
  const int part_lines = (c.plan.keys.lines + c.splits - 1) / c.splits;
  const HeadRows<T> k_rows(c.k, b, h / group), v_rows(c.v, b, h / group);
  const PairScore pair(c, b, h);
  const float factor = kTerms ? 1.0f : c.score.scale * kLog2E;
  const int query = first + row + g;  // slot of the lane's upper row

  FragmentC out[kWidth / 8] = {};
  RowSoftmax<kTerms> softmax;
  if (part == 0) softmax.add_valueless(c, b, h, query);

  PlanWalk walk(c.plan, c.plan.queries, b, h, h + 1, line, part * part_lines,
                (part + 1) * part_lines);
  load_tile(q, HeadRows<T>(c.q, b, h), c.plan.queries.order, first, c.queries);
  if (walk.more()) load_tile(k, k_rows, c.plan.keys.order, walk.tile() * kDeviceTile, c.keys);
  cp_async_commit();
  while (walk.more()) {
    const int key = walk.tile() * kDeviceTile;
    const SeenPairs seen(c.plan.queries, walk.mask(), row, c.queries - first, c.keys - key);
    cp_async_wait<0>();
    __syncthreads();  // k is here, v is free
    load_tile(v, v_rows, c.plan.keys.order, key, c.keys);
    cp_async_commit();
    Scores<> s;
    float rescale[2] = {1, 1};
    if (seen.units != 0) {
      score_products(s, q, row, k, 0, seen.units);
      softmax.add(s, seen, pair, factor, query, key + 2 * t, rescale);
#pragma unroll
      for (FragmentC& o : out) {
#pragma unroll
        for (int i = 0; i < 4; ++i) o.r[i] *= rescale[i / 2];
      }
    }
    walk.advance();
    cp_async_wait<0>();
    __syncthreads();  // v is here, k is free
    if (walk.more()) load_tile(k, k_rows, c.plan.keys.order, walk.tile() * kDeviceTile, c.keys);
    cp_async_commit();
    if (seen.units != 0) weighted_sums(out, s, v, 0, 0, seen.units);
  }
  cp_async_wait<0>();

  if (c.splits > 1) {
    const float all[2] = {row_sum(softmax.sum[0]), row_sum(softmax.sum[1])};
    return store_part<kWidth>(c, (int64_t{b} * c.heads + h) * c.queries, part, query, out,
                              softmax.max, all);
  }
  float inverse[2];
  softmax.finish(c, b, h, query, inverse);
  __syncthreads();  // a block without tiles: q was not waited for by all
  put_sums<T, kWidth, kWidth>(out, inverse[0], inverse[1], q, row);
  __syncwarp();
  store_warp_rows(q, row, HeadRows<T>(c.out, b, h), 0, c.plan.queries.order, first, c.queries);
}

template <class T, int kWidth, bool kTerms>
void launch_forward(const FusedCall& c) {
  const auto blocks = static_cast<unsigned>(c.plan.queries.lines * c.batch * c.heads * c.splits);
  launch(attention_forward<T, kWidth, kTerms>, blocks, kAttentionThreads,
         3 * SharedTile<T, kWidth>::kBytes, current_stream(), c);
}

}  // namespace heed::kernels::cuda
