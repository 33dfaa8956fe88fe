// Rows of elements, a block a row: how many threads, and how they walk it.
#pragma once

#include "kernels/cuda/functors.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/shared.h"
#include "kernels/cuda/vector.h"

namespace heed::kernels::cuda {

/// Threads of a block for rows of n elements of T: a multiple of 32, up to 256.
template <class T>
unsigned row_threads(int64_t n) {
  const int64_t warps = ceil_div(ceil_div(n, kLanes<T>), kWarp);
  return static_cast<unsigned>(kWarp * std::clamp<int64_t>(warps, 1, 8));
}

inline unsigned row_blocks(int64_t rows) {
  return static_cast<unsigned>(std::min<int64_t>(rows, 1 << 16));
}

template <int N>
struct Count {
  static constexpr int value = N;
};

/// Calls fn(i, Count<k>()) for the pieces i .. i + k of [0, n) that are this thread's: k elements
/// of T side by side in 16 bytes where the row allows (`wide`), single ones elsewhere.
template <class T, class Fn>
__device__ void for_row(int64_t n, bool wide, Fn fn) {
  constexpr int kWide = kLanes<T>;
  if (wide) {
    for (int64_t i = int64_t{threadIdx.x} * kWide; i < n; i += int64_t{blockDim.x} * kWide) {
      fn(i, Count<kWide>());
    }
  } else {
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) fn(i, Count<1>());
  }
}

/// Whether rows of n elements of T that follow each other from each of these addresses (null for
/// none) may be read 16 bytes at a time.
template <class T, class... Pointers>
bool rows_are_wide(int64_t n, Pointers... pointers) {
  return n % kLanes<T> == 0 && (is_aligned(pointers) && ...);
}

/// Sum of exponentials beside the largest number seen: sum e^(x - largest).
template <class A>
struct ExpSum {
  A largest, sum;

  __device__ static ExpSum none() { return {-__builtin_huge_valf(), A(0)}; }
  __device__ void add(A x) {
    if (x > largest) {
      sum = sum * on_device::exp(largest - x) + A(1);
      largest = x;
    } else if (x != -__builtin_huge_valf()) {
      sum += x == largest ? A(1) : on_device::exp(x - largest);  // of infinities too
    }
  }
};

struct MergeExpSums {
  template <class A>
  __device__ ExpSum<A> operator()(const ExpSum<A>& a, const ExpSum<A>& b) const {
    const bool first = a.largest > b.largest;
    const ExpSum<A>&more = first ? a : b, &less = first ? b : a;
    if (less.largest == more.largest || less.largest == -__builtin_huge_valf())
      return {more.largest, more.sum + less.sum};
    return {more.largest, more.sum + less.sum * on_device::exp(less.largest - more.largest)};
  }
};

/// Of all threads of the block.
template <class A>
__device__ ExpSum<A> block_exp_sum(ExpSum<A> mine) {
  struct Scratch {
    ExpSum<A> warp[32];
  };
  return block_all(mine, shared<Scratch>().warp, MergeExpSums());
}

/// Of all threads of the block.
template <class A>
__device__ A block_sum(A mine) {
  struct Scratch {
    A warp[32];
  };
  return block_all(mine, shared<Scratch>().warp, Plus());
}

}  // namespace heed::kernels::cuda
