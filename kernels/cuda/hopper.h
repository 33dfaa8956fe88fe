// What sm_90a adds for kernels whose warps have different work (PTX ISA 8.0 and later: mbarrier,
// cp.async.bulk, bar, setmaxnreg): barriers in shared memory that count arrivals and bytes,
// copies that the copy engine makes, barriers of some warps, and registers that move between them.
// Products of four warps are in kernels/cuda/wgmma.h. Without a device compiler all of it is
// emulated with the same meaning (tests/cuda_emulation/include/emulation_hopper.h).
//
// Kernels that use any of it keep their bodies inside #if HEED_SM90A.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/tensor_map.h"

#if defined(HEED_CUDA_EMULATION) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HEED_SM90A 1
#else
#define HEED_SM90A 0
#endif

namespace heed::kernels::cuda {

/// Four warps, the first of which has a number divisible by 4: what wgmma and setmaxnreg ask for.
inline constexpr int kWarpgroup = 128;

/// A barrier in shared memory. It goes through phases 0, 1, 2, ...: a phase ends when as many
/// threads have arrived as it was made for, and the bytes that they said to expect have come.
struct alignas(8) Barrier {
  uint64_t word;
};

}  // namespace heed::kernels::cuda

#if defined(HEED_CUDA_EMULATION)
#include "emulation_hopper.h"
#else

namespace heed::kernels::cuda {

/// The address in the window of shared memory, which descriptors and swizzles count in.
__device__ inline uint32_t shared_address(const void* at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

/// By one thread, before anybody uses it; barriers_made() and __syncthreads() must follow.
__device__ inline void make_barrier(Barrier& barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)),
               "r"(arrivals)
               : "memory");
}
/// Shows the barriers that this thread made to the copy engine.
__device__ inline void barriers_made() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// What this thread wrote and read before, in shared memory by ordinary accesses, happens before
/// what a thread does that has waited for the phase.
__device__ inline void arrive(Barrier& barrier, int arrivals = 1) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)),
               "r"(arrivals)
               : "memory");
}
/// The same, and tells of bytes that copies will bring: the phase does not end without them.
__device__ inline void arrive_expecting(Barrier& barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)),
      "r"(bytes)
      : "memory");
}
/// Until the phase of that parity has ended: the present one's or the one's before it. Of a new
/// barrier the phase "before", of parity 1, has.
__device__ inline void wait(Barrier& barrier, int parity) {
  uint32_t ended;
  do {
    asm volatile(
        "{\n.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n}"
        : "=r"(ended)
        : "r"(shared_address(&barrier)), "r"(parity)
        : "memory");
  } while (ended == 0);
}

/// Whether that phase has ended as far as this thread knows, without waiting.
__device__ inline bool passed(Barrier& barrier, int parity) {
  uint32_t ended;
  asm volatile(
      "{\n.reg .pred p;\n"
      "mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n}"
      : "=r"(ended)
      : "r"(shared_address(&barrier)), "r"(parity)
      : "memory");
  return ended != 0;
}

/// By one thread: the box of the map whose first element is (column, row, head, batch) goes to
/// shared memory in the map's swizzle, and counts its bytes at the barrier. Elements outside the
/// tensor are zeros. `to` is aligned to 1024 bytes.
__device__ inline void copy_box(void* to, const TensorMap& map, Barrier& barrier, int column,
                                int row, int head, int batch) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(to)),
      "l"(&map), "r"(shared_address(&barrier)), "r"(column), "r"(row), "r"(head), "r"(batch)
      : "memory");
}
/// By one thread: bytes (a multiple of 16) in a row, both places aligned to 16.
__device__ inline void copy_bytes(void* to, const void* from, int bytes, Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(&barrier))
      : "memory");
}
/// Fetches the map itself, which takes as long as any read of memory.
__device__ inline void prefetch(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

/// Shared memory that this thread wrote by ordinary stores and cp.async is there for wgmma and for
/// the copy engine, behind a barrier.
__device__ inline void show_to_engines() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Barrier `number` (1 to 15) of `threads` of the block, whole warps: to wait at it, or to count
/// without waiting.
__device__ inline void meet(int number, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(number), "r"(threads) : "memory");
}
__device__ inline void pass(int number, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(number), "r"(threads) : "memory");
}

/// Gives registers up, or waits for some that others gave up, until each thread of the warpgroup
/// has kCount (a multiple of 8). All of its threads.
template <int kCount>
__device__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}

}  // namespace heed::kernels::cuda

#endif
