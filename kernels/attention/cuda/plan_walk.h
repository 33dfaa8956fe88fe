// The walk of a block through the lines of the plan's other side.
#pragma once

#include <cuda_runtime.h>

#include "kernels/attention/cuda/fused_call.h"

namespace heed::kernels::cuda {

/// Lines [from, to) of the other side, as far as a line of one side meets them, in order, for heads
/// first_head .. last_head - 1.
class PlanWalk {
 public:
  __device__ PlanWalk(const attn::DevicePlan& plan, const attn::DevicePlan::Side& side, int b,
                      int first_head, int last_head, int line, int from, int to)
      : plan_(&plan),
        side_(&side),
        b_(b),
        line_(line),
        head_(first_head),
        last_(last_head),
        from_(from),
        to_(to) {
    if (more()) open();
    settle();
  }

  __device__ bool more() const { return head_ < last_; }
  __device__ int head() const { return head_; }
  /// Number of the other side's line.
  __device__ int tile() const { return tile_; }
  /// Its mask; -1: full.
  __device__ int mask() const { return run_.mask; }
  __device__ void advance() {
    if (++tile_ < run_.last) return;
    ++at_;
    settle();
  }

 private:
  /// The runs of the head.
  __device__ void open() {
    const int variant = b_ * plan_->batch_step + head_ * plan_->head_step;
    const int32_t* starts = side_->starts + int64_t{variant} * side_->lines + line_;
    at_ = starts[0], end_ = starts[1];
  }
  /// On to the first line that counts, from the run `at_` on.
  __device__ void settle() {
    while (more()) {
      for (; at_ < end_; ++at_) {
        run_ = side_->runs[at_];
        tile_ = run_.first > from_ ? run_.first : from_;
        if (run_.last > to_) run_.last = to_;
        if (tile_ < run_.last) return;
      }
      if (++head_ < last_) open();
    }
  }

  const attn::DevicePlan* plan_;
  const attn::DevicePlan::Side* side_;
  int b_, line_, head_, last_, from_, to_, at_ = 0, end_ = 0, tile_ = 0;
  attn::DeviceRun run_;
};

}  // namespace heed::kernels::cuda
