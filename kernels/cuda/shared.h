// Shared memory, always by these: kernels that declare none themselves can be run and checked on
// the CPU.
#pragma once

#include <cuda_runtime.h>

namespace heed::kernels::cuda {

#if !defined(HEED_CUDA_EMULATION)

/// The block's one object of type T, not initialised. A kernel gathers what it shares in one struct
/// of its own.
template <class T>
__device__ T& shared() {
  __shared__ __align__(16) unsigned char bytes[sizeof(T)];
  return *reinterpret_cast<T*>(bytes);
}

/// The block's dynamic shared memory: as many bytes as the launch asked for.
template <class T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char heed_dynamic_shared[];
  return reinterpret_cast<T*>(heed_dynamic_shared);
}

#else

template <class T>
T& shared() {
  return *static_cast<T*>(::emulation::static_shared(sizeof(T), ::emulation::type_tag<T>()));
}

template <class T>
T* dynamic_shared() {
  return static_cast<T*>(::emulation::dynamic_shared());
}

#endif

}  // namespace heed::kernels::cuda
