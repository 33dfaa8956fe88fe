// Sums and maxima over the threads of a warp or a block, in a fixed order.
#pragma once

#include "kernels/cuda/launch.h"
#include "kernels/cuda/shared.h"

namespace heed::kernels::cuda {

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

/// NaN where either is.
struct Larger {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

/// The value of lane ^ distance: any struct of 4-byte words.
template <class T>
__device__ T exchange(T value, int distance) {
  static_assert(sizeof(T) % 4 == 0);
  union {
    T whole;
    uint32_t word[sizeof(T) / 4];
  } u = {value};
#pragma unroll
  for (size_t i = 0; i < sizeof(T) / 4; ++i) {
    u.word[i] = __shfl_xor_sync(0xffffffffu, u.word[i], distance);
  }
  return u.whole;
}

/// Of all 32 lanes, which get it all. `op` gives the same either way round, bit for bit.
template <class T, class Op>
__device__ T warp_all(T value, Op op) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = op(value, exchange(value, distance));
  }
  return value;
}

/// Of all threads of a block (a multiple of 32, at most 1024), which get it all. `scratch` [32] in
/// shared memory may be used again for another call at once.
template <class T, class Op>
__device__ T block_all(T value, T* scratch, Op op) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = warp_all(value, op);
  if (warps == 1) return value;
  __syncthreads();  // an earlier call may still be reading
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  T total = scratch[0];
  for (int w = 1; w < warps; ++w) total = op(total, scratch[w]);
  return total;
}

}  // namespace heed::kernels::cuda
