// Fused attention, backward: what both kernels share. Scores are recomputed from the log-sum-exp;
// each kernel owns what it writes, so that results do not depend on the order of blocks and no sum
// needs an atomic: 7 products of tiles in place of the 5 of FlashAttention-2's algorithm 2.
//
//   P  = 2^(S - lse)       dP = dO V^T           (times the dropout mask and 1 / (1 - p))
//   dS = P (dP - delta)    delta = rowsum(dO O) - dlse
//   dQ = scale dS K        dK = scale dS^T Q     dV = P^T dO
#pragma once

#include "kernels/attention/cuda/pair_score.h"
#include "kernels/attention/cuda/plan_walk.h"
#include "kernels/attention/cuda/product.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/shared.h"

namespace heed::kernels::cuda {

using attn::FusedCall;

/// What a query brings to its pairs: log-sum-exp in base 2, +infinity where it has no pair.
struct QueryStatistics {
  float lse2, delta;
};

__device__ inline QueryStatistics query_statistics(const FusedCall& c, int b, int h, int slot) {
  if (slot >= c.queries) return {infinity(), 0.0f};
  const int64_t at = (int64_t{b} * c.heads + h) * c.queries + token_of(c.plan.queries.order, slot);
  const float lse = c.lse[at];
  return {lse == -infinity() ? infinity() : lse * kLog2E, c.delta[at]};
}

/// A pair's share of dS, and its probability as V saw it: `product` is q.k, `dp` is do.v.
template <bool kTerms>
struct PairGradient {
  float ds, dropped;

  __device__ PairGradient(const PairScore& pair, float factor, float product, float dp,
                          const QueryStatistics& query, bool seen, int query_slot, int key_slot) {
    float slope = 1.0f, x = product * factor;
    if (kTerms && seen) x = pair.logit2(product, query_slot, key_slot, slope);
    const float p = seen ? exp2_fast(x - query.lse2) : 0.0f;
    dropped = p;
    if (kTerms && seen && pair.drops()) {
      const float m = pair.keeps(query_slot, key_slot) ? pair.c.dropout.keep_scale : 0.0f;
      dropped *= m;
      dp *= m;
    }
    ds = p * (dp - query.delta) * slope;
  }
};

}  // namespace heed::kernels::cuda
