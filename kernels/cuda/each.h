// A thread an element.
#pragma once

#include "kernels/cuda/launch.h"
#include "kernels/strided_plan.h"

namespace heed::kernels::cuda {

inline constexpr int kEachThreads = 256;

/// Calls fn(i) for every i below n, of the whole grid.
template <class Fn>
__device__ void for_each(int64_t n, Fn fn) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) fn(i);
}

/// Calls fn(offsets) for every place of the loop over kOperands operands, of the whole grid.
template <int kOperands, class Fn>
__device__ void for_each_place(const StridedPlan& loop, Fn fn) {
  for_each(loop.numel, [&](int64_t i) {
    int64_t at[kOperands];
    loop.offsets(i, at);
    fn(at);
  });
}

inline unsigned each_blocks(int64_t n) { return grid_for(ceil_div(n, kEachThreads)); }

/// Starts kernel(arguments..., n), which calls for_each(n, ...).
template <class... P, class... A>
void launch_each(void (*kernel)(P...), int64_t n, const A&... arguments) {
  launch(kernel, each_blocks(n), kEachThreads, 0, current_stream(), arguments..., n);
}

}  // namespace heed::kernels::cuda
