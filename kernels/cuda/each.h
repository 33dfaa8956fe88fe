// A thread an element.
#pragma once

#include "kernels/cuda/launch.h"

namespace heed::kernels::cuda {

inline constexpr int kEachThreads = 256;

/// Calls fn(i) for every i below n, of the whole grid.
template <class Fn>
__device__ void for_each(int64_t n, Fn fn) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) fn(i);
}

/// Starts kernel(arguments..., n), which calls for_each(n, ...).
template <class... P, class... A>
void launch_each(void (*kernel)(P...), int64_t n, const A&... arguments) {
  launch(kernel, grid_for(ceil_div(n, kEachThreads)), kEachThreads, 0, current_stream(),
         arguments..., n);
}

}  // namespace heed::kernels::cuda
