// dK and dV on sm_90a: see steps.h and kernels/attention/cuda/backward.h. A group has K and V of 64
// keys; Q and dO of all heads that share them pass by. Scores are held as S^T:
//
//   S^T = K Q^T, dP^T = V dO^T;   dV += P^T dO, dK += dS^T Q
//
// While one group's threads make P and dS, the other's products run.
#pragma once

#include "kernels/attention/cuda/hopper/bringer.h"

namespace heed::kernels::cuda {

template <int kWidth>
using BackwardKeysShape = HopperShape<kWidth, 2, kWidth == 64 ? 6 : 4, true>;

template <int kWidth, bool kTerms>
__device__ void compute_backward_keys(const HopperCall& hopper,
                                      typename BackwardKeysShape<kWidth>::Shared& shared,
                                      int group) {
  using Shape = BackwardKeysShape<kWidth>;
  const FusedCall& c = hopper.call;
  const int thread = static_cast<int>(threadIdx.x) % kWarpgroup, lane = thread % 32;
  const int row = thread / 32 * kWarpRows, lane_column = lane % 4 * 2;
  const float factor = c.score.scale * kLog2E;
  const auto pass_by = [] {};
  const auto k = Shape::own(shared, group, 0), v = Shape::own(shared, group, 1);
  StepReader<Shape> steps(shared, group);
  int parity = 0;  // of the group's own tiles
  for (int number; (number = steps.open_item()) >= 0;) {
    const Item item = Item::of<true>(hopper, number);
    const int line = item.line(group), first = line * kDeviceTile, key = first + row + lane / 4;
    const bool exists = line < c.plan.keys.lines;
    if (exists) {
      wait(shared.own_full[group], parity);
      parity ^= 1;
    }
    RowSums<kWidth> dk, dv;
    dk.clear();
    dv.clear();
    for (bool more = steps.settle(pass_by); more; more = steps.next(pass_by)) {
      const auto q = Shape::passing(shared, 0, steps.place().at);
      const auto dout = Shape::passing(shared, 1, steps.place().at);
      const int query = steps.tile() * kDeviceTile;
      const PairScore pair(c, item.b, steps.head());
      const SeenPairs seen(c.plan.keys, steps.mask(), row, c.keys - first, c.queries - query);
      const QueryStatistics* statistics = shared.statistics[steps.place().at];
      Scores<> s, ds;
      wait(shared.full[1][steps.place().at], steps.place().parity);
      begin_products();
      ask_scores(s, k, q);
      ask_scores(ds, v, dout);
      end_products();
      finished<0>(s.c);
      finished<0>(ds.c);
#pragma unroll
      for (int n = 0; n < 2 * kUnits; ++n) {
        const auto of =
            *reinterpret_cast<const Packed<QueryStatistics, 2>*>(statistics + 8 * n + lane_column);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const PairGradient<kTerms> gradient(
              pair, factor, s.c[n].r[i], ds.c[n].r[i], of.element[i % 2], seen.all || seen.at(n, i),
              query + 8 * n + lane_column + i % 2, key + 8 * (i / 2));
          s.c[n].r[i] = gradient.dropped;
          ds.c[n].r[i] = gradient.ds;
        }
      }
      RoundedScores rounded_p, rounded_ds;
      rounded_p.round(s);
      rounded_ds.round(ds);
      begin_products();
      ask_sums(dv, rounded_p, dout);
      ask_sums(dk, rounded_ds, q);
      end_products();
      dv.template finish<0>();
      dk.template finish<0>();
      hand_back(shared.empty[1][steps.place().at]);
      hand_back(shared.empty[0][steps.place().at]);
    }
    if (!exists) continue;
    hand_back(shared.own_empty[group]);
    const Item again = Item::of<true>(hopper, forgotten(number));  // registers are short
    const int slot = again.line(group) * kDeviceTile;
    const float scale[2] = {c.score.scale, c.score.scale}, one[2] = {1, 1};
    store_sums(dk, scale, HeadRows<bfloat16>(c.dk, again.b, again.h), c.plan.keys.order, slot,
               c.keys);
    store_sums(dv, one, HeadRows<bfloat16>(c.dv, again.b, again.h), c.plan.keys.order, slot,
               c.keys);
  }
}

template <int kWidth, bool kTerms>
__global__ void __launch_bounds__(kHopperThreads, 1)
    attention_backward_keys_hopper(const __grid_constant__ HopperCall c) {
#if HEED_SM90A
  run_block<BackwardKeysShape<kWidth>>(
      c, [&](auto& shared, int group) { compute_backward_keys<kWidth, kTerms>(c, shared, group); });
#endif
}

}  // namespace heed::kernels::cuda
