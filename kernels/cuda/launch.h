// How every kernel is launched.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "core/cuda/check.h"
#include "core/cuda/stream.h"
#include "core/element.h"

namespace heed::kernels::cuda {

using heed::cuda::current_stream;

/// Runs kernel(arguments...) on grid x block threads with `shared_bytes` of dynamic shared memory
/// (more than 48 KB are asked for). An empty grid is no launch. Errors name the op that runs and
/// its tensors (core/op_call.h).
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            const A&... arguments) {
  constexpr size_t kGranted = 48 << 10;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (shared_bytes > kGranted) {
    heed::cuda::check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                           cudaFuncAttributeMaxDynamicSharedMemorySize,
                                           static_cast<int>(shared_bytes)),
                      "shared memory");
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  heed::cuda::check_launch(cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...),
                           stream);
}

inline constexpr int kWarp = 32;

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Blocks for `count` pieces of work that a kernel walks with a stride of the whole grid: enough to
/// fill any device, few enough to cost nothing.
inline unsigned grid_for(int64_t count) {
  return static_cast<unsigned>(std::min<int64_t>(count, 132 * 16));
}

/// Calls fn(T{}) with T = float, double or bfloat16; the .cpp has refused other types.
template <class Fn>
decltype(auto) dispatch_floating(DType dtype, Fn&& fn) {
  if (dtype == DType::f32) return fn(float{});
  if (dtype == DType::bf16) return fn(bfloat16{});
  if (dtype == DType::f64) return fn(double{});
  heed::cuda::fail_op("needs f32, bf16 or f64");
}

}  // namespace heed::kernels::cuda
