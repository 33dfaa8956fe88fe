// Fused attention, forward, for sm_90a: see steps.h. A group has 64 queries in registers (in shared
// memory where heads are wider than 128) and does for the tiles of keys
//
//   S' = Q K'^T and O += P V asked for together; softmax of S' while P V goes on
//
// so that the tensor cores work during a softmax: on the group's own product, and, since the groups
// take turns in asking, on the other's.
#pragma once

#include "kernels/attention/cuda/hopper/bringer.h"
#include "kernels/attention/cuda/softmax.h"

namespace heed::kernels::cuda {

template <int kWidth>
using ForwardShape = HopperShape<kWidth, 1,
                                 kWidth == 64    ? 6
                                 : kWidth == 128 ? 4
                                                 : 2,
                                 false>;

/// The groups ask for products in turns.
class Turns {
 public:
  __device__ explicit Turns(int group) : group_(group) {
    if (group == kGroups - 1) give();  // the first is group 0's
  }
  __device__ void take() const { meet(kTurnBarrier + group_, kGroups * kWarpgroup); }
  __device__ void give() const { pass(kTurnBarrier + (group_ ^ 1), kGroups * kWarpgroup); }

 private:
  int group_;
};

/// Q of a group, in registers or where it was brought to.
template <int kWidth, bool kHeld = (kWidth <= 128)>
struct GroupQueries;

template <int kWidth>
struct GroupQueries<kWidth, true> {
  HeldRows<kWidth> rows;
  __device__ void come(PanelTile<kWidth> tile, Barrier& empty) {
    rows.load(tile);
    hand_back(empty);
  }
  __device__ void go(Barrier&) {}
};
template <int kWidth>
struct GroupQueries<kWidth, false> {
  PanelTile<kWidth> rows;
  __device__ void come(PanelTile<kWidth> tile, Barrier&) { rows = tile; }
  __device__ void go(Barrier& empty) { hand_back(empty); }
};

template <int kWidth, bool kTerms>
__device__ void compute_forward(const HopperCall& hopper,
                                typename ForwardShape<kWidth>::Shared& shared, int group) {
  using Shape = ForwardShape<kWidth>;
  const FusedCall& c = hopper.call;
  const int thread = static_cast<int>(threadIdx.x) % kWarpgroup, lane = thread % 32;
  const int row = thread / 32 * kWarpRows, lane_row = row + lane / 4, lane_column = lane % 4 * 2;
  const float factor = kTerms ? 1.0f : c.score.scale * kLog2E;
  const Turns turns(group);
  StepReader<Shape> steps(shared, group);
  int parity = 0;  // of the group's Q
  for (int number; (number = steps.open_item()) >= 0;) {
    const Item item = Item::of<false>(hopper, number);
    const int first = item.line(group) * kDeviceTile, query = first + lane_row;
    const bool exists = item.line(group) < c.plan.queries.lines;
    const PairScore pair(c, item.b, item.h);
    GroupQueries<kWidth> q;
    if (exists) {
      wait(shared.own_full[group], parity);
      parity ^= 1;
      q.come(Shape::own(shared, group, 0), shared.own_empty[group]);
    }
    RowSums<kWidth> out;
    out.clear();
    RowSoftmax<kTerms> softmax;
    softmax.add_valueless(c, item.b, item.h, query);
    const auto pass_by = [&] {
      turns.take();
      turns.give();
    };
    if (steps.settle(pass_by)) {
      Scores<> s;
      RoundedScores p;
      float rescale[2];
      const auto soften = [&] {
        const int key = steps.tile() * kDeviceTile;
        const SeenPairs seen(c.plan.queries, steps.mask(), row, c.queries - first, c.keys - key);
        softmax.add(s, seen, pair, factor, query, key + lane_column, rescale);
      };

      turns.take();
      begin_products();
      ask_scores(s, q.rows, Shape::passing(shared, 0, steps.place().at));
      end_products();
      turns.give();
      finished<0>(s.c);
      hand_back(shared.empty[0][steps.place().at]);
      soften();
      p.round(s);
      auto before = steps.place();  // of V
      while (steps.next(pass_by)) {
        wait(shared.full[1][before.at], before.parity);
        turns.take();
        begin_products();
        ask_scores(s, q.rows, Shape::passing(shared, 0, steps.place().at));
        end_products();
        ask_sums(out, p, Shape::passing(shared, 1, before.at));
        end_products();
        turns.give();
        finished<1>(s.c);
        hand_back(shared.empty[0][steps.place().at]);
        soften();
        out.template finish<0>();
        hand_back(shared.empty[1][before.at]);
        // a maximum seldom grows after the first tiles
        if (__any_sync(0xffffffffu, rescale[0] != 1.0f || rescale[1] != 1.0f)) out.scale(rescale);
        p.round(s);
        before = steps.place();
      }
      wait(shared.full[1][before.at], before.parity);
      begin_products();
      ask_sums(out, p, Shape::passing(shared, 1, before.at));
      end_products();
      out.template finish<0>();
      hand_back(shared.empty[1][before.at]);
    }
    if (!exists) continue;
    q.go(shared.own_empty[group]);
    float inverse[2];
    softmax.finish(c, item.b, item.h, query, inverse);
    store_sums(out, inverse, HeadRows<bfloat16>(c.out, item.b, item.h), c.plan.queries.order, first,
               c.queries);
  }
}

template <int kWidth, bool kTerms>
__global__ void __launch_bounds__(kHopperThreads, 1)
    attention_forward_hopper(const __grid_constant__ HopperCall c) {
#if HEED_SM90A
  run_block<ForwardShape<kWidth>>(
      c, [&](auto& shared, int group) { compute_forward<kWidth, kTerms>(c, shared, group); });
#endif
}

}  // namespace heed::kernels::cuda
