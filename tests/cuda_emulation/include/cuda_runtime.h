// CUDA on the CPU, for tests: as much of the language and of the runtime's interface as heed's .cu
// files use, so that g++ compiles the very files that nvcc does. docs/cuda.md says what this shows
// and what it cannot.
#pragma once

#define HEED_CUDA_EMULATION 1

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  unsigned x, y, z;
};

#include "emulation.h"

// Not macros, since the launch's configuration has members of these names.
template <auto kRead>
struct EmulatedIndex {
  struct X {
    operator unsigned() const { return kRead().x; }
  } x;
  struct Y {
    operator unsigned() const { return kRead().y; }
  } y;
  struct Z {
    operator unsigned() const { return kRead().z; }
  } z;
};
inline const EmulatedIndex<[] { return emulation::current().thread_index; }> threadIdx;
inline const EmulatedIndex<[] { return emulation::current().block->block_index; }> blockIdx;
inline const EmulatedIndex<[] { return emulation::current().block->block_dim; }> blockDim;
inline const EmulatedIndex<[] { return emulation::current().block->grid_dim; }> gridDim;

// ---- What threads do together. -----------------------------------------------------------------

using EmulatedSite = std::source_location;

inline void __syncthreads(EmulatedSite site = EmulatedSite::current()) {
  emulation::block_barrier(0, site);
}
inline int __syncthreads_count(int predicate, EmulatedSite site = EmulatedSite::current()) {
  return emulation::block_barrier(predicate != 0 ? 1 : 0, site);
}
inline int __syncthreads_or(int predicate, EmulatedSite site = EmulatedSite::current()) {
  return emulation::block_barrier(predicate != 0 ? 1 : 0, site) != 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, EmulatedSite site = EmulatedSite::current()) {
  emulation::warp_together(
      mask, nullptr, [](void**) {}, site);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              EmulatedSite site = EmulatedSite::current()) {
  return emulation::shuffle(mask, value, width, site, [source, width](int lane) {
    return lane / width * width + source % width;
  });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance, int width = 32,
                  EmulatedSite site = EmulatedSite::current()) {
  return emulation::shuffle(mask, value, width, site,
                            [distance](int lane) { return lane ^ distance; });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   EmulatedSite site = EmulatedSite::current()) {
  return emulation::shuffle(mask, value, width, site, [distance, width](int lane) {
    const int from = lane + static_cast<int>(distance);
    return from / width == lane / width ? from : lane;
  });
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 EmulatedSite site = EmulatedSite::current()) {
  return emulation::shuffle(mask, value, width, site, [distance, width](int lane) {
    const int from = lane - static_cast<int>(distance);
    return from >= 0 && from / width == lane / width ? from : lane;
  });
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              EmulatedSite site = EmulatedSite::current()) {
  return emulation::ballot(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, EmulatedSite site = EmulatedSite::current()) {
  return emulation::ballot(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, EmulatedSite site = EmulatedSite::current()) {
  return emulation::ballot(mask, predicate != 0, site) == mask;
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- Atomics: threads take turns, so plain operations are atomic.
// --------------------------------

template <class T>
T atomicAdd(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  *to = old + value;
  return old;
}
template <class T>
T atomicMax(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  if (value > old) *to = value;
  return old;
}
template <class T>
T atomicMin(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  if (value < old) *to = value;
  return old;
}
template <class T>
T atomicExch(T* to, std::type_identity_t<T> value) {
  const T old = *to;
  *to = value;
  return old;
}
template <class T>
T atomicCAS(T* to, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  const T old = *to;
  if (old == expected) *to = value;
  return old;
}

// ---- Functions of numbers.
// -----------------------------------------------------------------------

template <class T>
T __ldg(const T* from) {
  return *from;
}
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((uint64_t{a} * b) >> 32);
}
[[noreturn]] inline void __trap() { emulation::fail_thread("trap"); }

// ---- The runtime's interface.
// ----------------------------------------------------------------------

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInvalidResourceHandle = 400
};
const char* cudaGetErrorString(cudaError_t code);
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

struct EmulatedStream;
struct EmulatedEvent;
using cudaStream_t = EmulatedStream*;
using cudaEvent_t = EmulatedEvent*;
using cudaMemPool_t = void*;
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
};

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device);
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value);
cudaError_t cudaMallocAsync(void** block, size_t bytes, cudaStream_t stream);
cudaError_t cudaFreeAsync(void* block, cudaStream_t stream);
cudaError_t cudaMallocHost(void** block, size_t bytes);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value);

namespace emulation {
/// Kernels are launched on no other; null is the default stream.
bool is_of_current_device(cudaStream_t stream);
}  // namespace emulation

/// Runs the whole grid before it returns; what a kernel did wrong is thrown as heed::Error.
template <class... P>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...),
                               P... arguments) {
  if (!emulation::is_of_current_device(config->stream)) return cudaErrorInvalidResourceHandle;
  return static_cast<cudaError_t>(
      emulation::run_grid(config->gridDim, config->blockDim, config->dynamicSmemBytes,
                          reinterpret_cast<const void*>(kernel), [&] { kernel(arguments...); }));
}
