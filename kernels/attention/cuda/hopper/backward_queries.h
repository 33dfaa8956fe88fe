// dQ on sm_90a: see steps.h and kernels/attention/cuda/backward.h. A group has Q and dO of 64
// queries; K and V pass by:
//
//   S = Q K^T, dP = dO V^T   and dQ += dS K of the step before, asked for together
#pragma once

#include "kernels/attention/cuda/hopper/bringer.h"

namespace heed::kernels::cuda {

template <int kWidth>
using BackwardQueriesShape = HopperShape<kWidth, 2, kWidth == 64 ? 6 : 4, false>;

template <int kWidth, bool kTerms>
__device__ void compute_backward_queries(const HopperCall& hopper,
                                         typename BackwardQueriesShape<kWidth>::Shared& shared,
                                         int group) {
  using Shape = BackwardQueriesShape<kWidth>;
  const FusedCall& c = hopper.call;
  const int thread = static_cast<int>(threadIdx.x) % kWarpgroup, lane = thread % 32;
  const int row = thread / 32 * kWarpRows, lane_row = row + lane / 4, lane_column = lane % 4 * 2;
  const float factor = c.score.scale * kLog2E;
  const auto pass_by = [] {};
  const auto q = Shape::own(shared, group, 0), dout = Shape::own(shared, group, 1);
  StepReader<Shape> steps(shared, group);
  int parity = 0;  // of the group's own tiles
  for (int number; (number = steps.open_item()) >= 0;) {
    const Item item = Item::of<false>(hopper, number);
    const int line = item.line(group), first = line * kDeviceTile, query = first + lane_row;
    const bool exists = line < c.plan.queries.lines;
    const PairScore pair(c, item.b, item.h);
    QueryStatistics statistics[2] = {};
    if (exists) {
      const int64_t slot =
          ((int64_t{item.b} * c.heads + item.h) * c.plan.queries.lines + line) * kDeviceTile;
      statistics[0] = hopper.statistics[slot + lane_row];
      statistics[1] = hopper.statistics[slot + lane_row + 8];
      wait(shared.own_full[group], parity);
      parity ^= 1;
    }
    RowSums<kWidth> dq;
    dq.clear();
    if (steps.settle(pass_by)) {
      Scores<> s, dp;
      RoundedScores ds;
      const auto ask = [&] {
        ask_scores(s, q, Shape::passing(shared, 0, steps.place().at));
        ask_scores(dp, dout, Shape::passing(shared, 1, steps.place().at));
        end_products();
      };
      const auto differentiate = [&] {
        const int key = steps.tile() * kDeviceTile;
        const SeenPairs seen(c.plan.queries, steps.mask(), row, c.queries - first, c.keys - key);
#pragma unroll
        for (int n = 0; n < 2 * kUnits; ++n) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            s.c[n].r[i] =
                PairGradient<kTerms>(pair, factor, s.c[n].r[i], dp.c[n].r[i], statistics[i / 2],
                                     seen.all || seen.at(n, i), query + 8 * (i / 2),
                                     key + 8 * n + lane_column + i % 2)
                    .ds;
          }
        }
        ds.round(s);
      };
      wait(shared.full[1][steps.place().at], steps.place().parity);
      begin_products();
      ask();
      while (true) {
        finished<0>(s.c);
        finished<0>(dp.c);
        hand_back(shared.empty[1][steps.place().at]);
        differentiate();
        const int k = steps.place().at;
        if (!steps.next(pass_by)) {
          begin_products();
          ask_sums(dq, ds, Shape::passing(shared, 0, k));
          end_products();
          dq.template finish<0>();
          hand_back(shared.empty[0][k]);
          break;
        }
        wait(shared.full[1][steps.place().at], steps.place().parity);
        begin_products();
        ask_sums(dq, ds, Shape::passing(shared, 0, k));
        end_products();
        ask();
        dq.template finish<1>();
        hand_back(shared.empty[0][k]);
      }
    }
    if (!exists) continue;
    hand_back(shared.own_empty[group]);
    const float scale[2] = {c.score.scale, c.score.scale};
    store_sums(dq, scale, HeadRows<bfloat16>(c.dq, item.b, item.h), c.plan.queries.order, first,
               c.queries);
  }
}

template <int kWidth, bool kTerms>
__global__ void __launch_bounds__(kHopperThreads, 1)
    attention_backward_queries_hopper(const __grid_constant__ HopperCall c) {
#if HEED_SM90A
  run_block<BackwardQueriesShape<kWidth>>(c, [&](auto& shared, int group) {
    compute_backward_queries<kWidth, kTerms>(c, shared, group);
  });
#endif
}

}  // namespace heed::kernels::cuda
