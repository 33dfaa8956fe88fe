// The running softmax of the rows that pass by in tiles (FlashAttention-2, arXiv 2307.08691,
// algorithm 1), for the forward kernels:
//
//   m' = max(m, max S)     P = 2^(S - m')     l = l 2^(m - m') + sum P
#pragma once

#include "kernels/attention/cuda/pair_score.h"
#include "kernels/attention/cuda/product.h"

namespace heed::kernels::cuda {

/// Of the four lanes that hold a row.
__device__ inline float row_max(float x) {
  const float a = __shfl_xor_sync(0xffffffffu, x, 1);
  x = x > a ? x : a;
  const float b = __shfl_xor_sync(0xffffffffu, x, 2);
  return x > b ? x : b;
}
__device__ inline float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

/// Products to logits in base 2, up to `factor` where no terms are applied; -infinity where there
/// is no pair.
template <bool kTerms>
__device__ void finish_logits(Scores<>& s, const SeenPairs& seen, const PairScore& pair, int query,
                              int key) {
  if (!kTerms && seen.all) return;
#pragma unroll
  for (int n = 0; n < 2 * kUnits; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float x = s.c[n].r[i];
      if (kTerms && seen.at(n, i)) {
        float slope;
        x = pair.logit2(x, query + 8 * (i / 2), key + 8 * n + i % 2, slope);
      }
      s.c[n].r[i] = seen.at(n, i) ? x : -infinity();
    }
  }
}

/// A lane's two rows, g and g + 8 of the warp's 16. kTerms: whether the score has more than a
/// positive scale, or there is dropout.
template <bool kTerms>
struct RowSoftmax {
  float max[2] = {-infinity(), -infinity()};  ///< in base 2
  float sum[2] = {0, 0};                      ///< the lane's share

  /// Begins with what has no value: sinks, virtual keys. `query` is the upper row's slot.
  __device__ void add_valueless(const attn::FusedCall& c, int b, int h, int query) {
#pragma unroll
    for (int half = 0; kTerms && half < 2; ++half) {
      if (query + 8 * half >= c.queries) continue;
      max[half] = valueless_logit2(c, b, h, query + 8 * half);
      // once in the four lanes
      if (max[half] > -infinity() && threadIdx.x % 4 == 0) sum[half] = 1;
    }
  }

  /// Products of a tile to probabilities up to the rows' sums; sums so far must be multiplied by
  /// `rescale`. `key` is the slot of the lane's first column; logits are `factor` times what
  /// finish_logits leaves.
  __device__ void add(Scores<>& s, const SeenPairs& seen, const PairScore& pair, float factor,
                      int query, int key, float (&rescale)[2]) {
    finish_logits<kTerms>(s, seen, pair, query, key);
    float top[2] = {-infinity(), -infinity()};
#pragma unroll
    for (int n = 0; n < 2 * kUnits; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) top[i / 2] = fmaxf(top[i / 2], s.c[n].r[i]);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float most = fmaxf(max[half], row_max(top[half]) * factor);
      // a row without a pair so far keeps its zeros
      const float shift = most == -infinity() ? 0.0f : most;
      rescale[half] = exp2_fast(max[half] - shift);
      max[half] = most;
      float mine = 0;
#pragma unroll
      for (int n = 0; n < 2 * kUnits; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          float& x = s.c[n].r[i];
          x = exp2_fast(x * factor - shift);
          mine += x;
          if (kTerms && pair.drops() && x != 0.0f &&
              !pair.keeps(query + 8 * half, key + 8 * n + i % 2)) {
            x = 0;
          }
        }
      }
      sum[half] = sum[half] * rescale[half] + mine;
    }
  }

  /// Writes the rows' log-sum-exp, and gives what their sums of values are to be multiplied by.
  __device__ void finish(const attn::FusedCall& c, int b, int h, int query,
                         float (&inverse)[2]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float all = row_sum(sum[half]);
      inverse[half] = all == 0.0f ? 0.0f : (kTerms ? c.dropout.keep_scale : 1.0f) / all;
      const int slot = query + 8 * half;
      if (threadIdx.x % 4 == 0 && slot < c.queries) {
        c.lse[(int64_t{b} * c.heads + h) * c.queries + token_of(c.plan.queries.order, slot)] =
            all == 0.0f ? -infinity() : max[half] * kLn2 + on_device::log(all);
      }
    }
  }
};

}  // namespace heed::kernels::cuda
