// Loads and stores of several elements at once, widened to the type that sums are kept in.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/element.h"

namespace heed::kernels::cuda {

/// Elements of T in a 16-byte access.
template <class T>
inline constexpr int kLanes = 16 / static_cast<int>(sizeof(T));

/// N elements as they lie in memory; N sizeof(T) is 16 for the widest access.
template <class T, int N>
struct alignas(N * sizeof(T)) Packed {
  T element[N];
};

/// to[0 .. N) = from[0 .. N); `from` is aligned to the whole.
template <int N, class T, class A>
__device__ void load(const T* from, A (&to)[N]) {
  const Packed<T, N> packed = *reinterpret_cast<const Packed<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; ++i) to[i] = static_cast<A>(packed.element[i]);
}

template <int N, class T, class A>
__device__ void store(const A (&from)[N], T* to) {
  Packed<T, N> packed;
#pragma unroll
  for (int i = 0; i < N; ++i) packed.element[i] = static_cast<T>(from[i]);
  *reinterpret_cast<Packed<T, N>*>(to) = packed;
}

/// Whether accesses of 16 bytes are aligned at this address.
inline bool is_aligned(const void* at) { return reinterpret_cast<uintptr_t>(at) % 16 == 0; }

}  // namespace heed::kernels::cuda
