// The warpgroup of a block that brings tiles: it walks the plan for both computing groups and says
// what each step is.
#pragma once

#include "kernels/attention/cuda/hopper/steps.h"

namespace heed::kernels::cuda {

template <class Shape>
class Bringer {
 public:
  __device__ Bringer(const HopperCall& c, typename Shape::Shared& shared)
      : c_(c), shared_(shared), thread_(static_cast<int>(threadIdx.x) % kWarpgroup) {}

  /// Until no items are left. Where the copy engine brings tiles, one thread asks it to.
  __device__ void run() {
    if (!c_.gathers && thread_ != 0) return;
    for (int item = static_cast<int>(blockIdx.x); item < c_.items; item = take_item())
      bring_item(item);
    send({-1, -1, 0, 1, {Step::kUnseen, Step::kUnseen}});
    settle();
  }

 private:
  static constexpr bool kByKeys = Shape::kByKeys;
  using Tile = typename Shape::Tile;

  __device__ int take_item() {
    const auto take = [&] { return static_cast<int>(gridDim.x) + atomicAdd(c_.next, 1); };
    if (!c_.gathers) return take();
    meet(kItemBarrier, kWarpgroup);  // the last number was read
    if (thread_ == 0) shared_.next_item = take();
    meet(kItemBarrier, kWarpgroup);
    return shared_.next_item;
  }

  __device__ void bring_item(int number) {
    const FusedCall& c = c_.call;
    const Item item = Item::of<kByKeys>(c_, number);
    const attn::DevicePlan::Side& side = kByKeys ? c.plan.keys : c.plan.queries;
    const attn::DevicePlan::Side& other = kByKeys ? c.plan.queries : c.plan.keys;
    const int group = c.heads / c.kv_heads;
    const int from = kByKeys ? item.h * group : item.h, to = kByKeys ? from + group : from + 1;
    const bool pair = item.line(1) < side.lines;
    for (int g = 0; g < (pair ? 2 : 1); ++g) bring_own(item, g, side);
    PlanWalk first(c.plan, side, item.b, from, to, item.line(0), 0, other.lines);
    PlanWalk second(c.plan, side, item.b, from, pair ? to : from, pair ? item.line(1) : 0, 0,
                    other.lines);
    if (!first.more() && !second.more())
      return send({number, -1, 0, 1, {Step::kUnseen, Step::kUnseen}});
    while (first.more() || second.more()) {
      const bool has_first = first.more() && !(second.more() && before(second, first));
      const bool has_second = second.more() && !(first.more() && before(first, second));
      const PlanWalk& walk = has_first ? first : second;
      Step step{
          number,
          walk.tile(),
          walk.head(),
          0,
          {has_first ? first.mask() : Step::kUnseen, has_second ? second.mask() : Step::kUnseen}};
      if (has_first) first.advance();
      if (has_second) second.advance();
      step.last = !first.more() && !second.more();
      bring_step(item, step);
    }
  }

  __device__ static bool before(const PlanWalk& a, const PlanWalk& b) {
    return a.head() != b.head() ? a.head() < b.head() : a.tile() < b.tile();
  }

  __device__ void bring_own(const Item& item, int g, const attn::DevicePlan::Side& side) {
    claim(shared_.own_empty[g], (own_parities_ >> g & 1) ^ 1);
    own_parities_ ^= 1 << g;
    begin(shared_.own_full[g], Shape::kOwn * Tile::kBytes);
#pragma unroll
    for (int which = 0; which < Shape::kOwn; ++which) {
      bring(Shape::own(shared_, g, which), shared_.own_full[g], c_.own[which], c_.own_rows[which],
            item.b, item.h, side.order, item.line(g), kByKeys ? c_.call.keys : c_.call.queries);
    }
    end();
  }

  __device__ void bring_step(const Item& item, const Step& step) {
    const FusedCall& c = c_.call;
    const attn::DevicePlan::Side& other = kByKeys ? c.plan.queries : c.plan.keys;
    const int head = kByKeys ? step.head : item.h / (c.heads / c.kv_heads);
    const int tokens = kByKeys ? c.queries : c.keys;
    const auto bring_passing = [&](int which) {
      bring(Shape::passing(shared_, which, place_.at), shared_.full[which][place_.at],
            c_.passing[which], c_.passing_rows[which], item.b, head, other.order, step.tile,
            tokens);
    };
    claim(shared_.empty[0][place_.at], place_.parity ^ 1);
    if (thread_ == 0) shared_.steps[place_.at] = step;
    constexpr int kStatistics = kByKeys ? sizeof(shared_.statistics[0]) : 0;
    begin(shared_.full[0][place_.at], Tile::kBytes, kStatistics);
    bring_passing(0);
    if (kByKeys && thread_ == 0) {
      const int64_t row = (int64_t{item.b} * c.heads + head) * other.lines + step.tile;
      copy_bytes(shared_.statistics[place_.at], c_.statistics + row * kDeviceTile, kStatistics,
                 shared_.full[0][place_.at]);
    }
    end();
    claim_second(step);
    begin(shared_.full[1][place_.at], Tile::kBytes);
    bring_passing(1);
    end();
    place_.advance();
  }

  /// A step without tiles.
  __device__ void send(const Step& step) {
    claim(shared_.empty[0][place_.at], place_.parity ^ 1);
    if (thread_ == 0) shared_.steps[place_.at] = step;
    begin(shared_.full[0][place_.at], 0);
    end();
    claim_second(step);
    begin(shared_.full[1][place_.at], 0);
    end();
    place_.advance();
  }

  /// Groups that will not see the second tile do not hand it back.
  __device__ void claim_second(const Step& step) {
    claim(shared_.empty[1][place_.at], place_.parity ^ 1);
    // where no group will, what follows ends the phase: all threads must have claimed it by then
    if (c_.gathers && step.tile < 0) meet(kItemBarrier, kWarpgroup);
    if (thread_ != 0) return;
#pragma unroll
    for (const int32_t mask : step.mask)
      if (mask == Step::kUnseen) arrive(shared_.empty[1][place_.at], 4);
  }

  // -- One set of tiles that a barrier tells of. The copy engine counts bytes; a gathering thread
  // arrives when its own have come, which it looks after when it has asked for the next set.

  /// Until the place is free.
  __device__ void claim(Barrier& empty, int parity) {
    if (pending_ != nullptr && !passed(empty, parity)) settle();
    wait(empty, parity);
  }
  /// `bytes` of tiles, and `more` that the copy engine brings in any case.
  __device__ void begin(Barrier& full, int bytes, int more = 0) {
    full_ = &full;
    more_ = thread_ == 0 ? more : 0;
    if (!c_.gathers) arrive_expecting(full, bytes + more);
  }
  __device__ void end() {
    if (!c_.gathers) return;
    cp_async_commit();
    Barrier* const ended = full_;
    const int ended_more = more_;
    if (pending_ != nullptr) {
      cp_async_wait<1>();
      tell();
    }
    pending_ = ended, pending_more_ = ended_more;
  }
  __device__ void settle() {
    if (pending_ == nullptr) return;
    cp_async_wait<0>();
    tell();
  }
  __device__ void tell() {
    show_to_engines();
    arrive_expecting(*pending_, pending_more_);
    pending_ = nullptr;
  }

  /// The tokens of a line's slots, of one head; zeros behind slot `tokens` and behind the rows'
  /// width.
  __device__ void bring(Tile tile, Barrier& full, const TensorMap& map, const attn::FusedRows& rows,
                        int b, int h, const int32_t* order, int line, int tokens) {
    if (!c_.gathers) {
#pragma unroll
      for (int p = 0; p < Tile::kPanels; ++p) {
        copy_box(tile.data + p * Tile::kPanelBytes, map, full, p * kPanelColumns,
                 line * kDeviceTile, h, b);
      }
      return;
    }
    constexpr int kPieces = Shape::kWidth / 8;
    const HeadRows<const bfloat16> from(rows, b, h);
#pragma unroll 1
    for (int n = thread_; n < kDeviceTile * kPieces; n += kWarpgroup) {
      const int row = n / kPieces, column = n % kPieces * 8, slot = line * kDeviceTile + row;
      const bool valid = slot < tokens && column < rows.width;
      cp_async_16(tile.piece(row, column),
                  valid ? from.data + token_of(order, slot) * from.stride + column : from.data,
                  valid);
    }
  }

  const HopperCall& c_;
  typename Shape::Shared& shared_;
  int thread_;
  int own_parities_ = 0;  // bit g
  RingPlace<Shape::kPlaces> place_;
  Barrier *full_ = nullptr, *pending_ = nullptr;
  int more_ = 0, pending_more_ = 0;
};

/// A block of kHopperThreads: compute(shared, group) runs in the computing groups.
template <class Shape, class Compute>
__device__ void run_block(const HopperCall& c, const Compute& compute) {
  auto& shared = Shape::shared();
  Shape::make_barriers(shared, c.gathers);
  const int group = uniform(static_cast<int>(threadIdx.x) / kWarpgroup) - 1;
  if (group < 0) {
    give_registers<Shape::kBringerRegisters>();
    Bringer<Shape>(c, shared).run();
  } else {
    take_registers<Shape::kGroupRegisters>();
    compute(shared, group);
  }
}

}  // namespace heed::kernels::cuda
