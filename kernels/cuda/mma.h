// Warp-wide matrix instructions and asynchronous copies (PTX ISA, sections on mma, ldmatrix and
// cp.async; sm_80 and up). All 32 lanes of a warp call them together. Without a device compiler
// they are emulated from the same tables of the PTX ISA
// (tests/cuda_emulation/include/emulation_mma.h).
//
// Which element a lane holds, with g = lane / 4 and t = lane % 4:
//   FragmentA [16, 16]  register 0: (g, 2t) (g, 2t+1)      1: (g+8, 2t) (g+8, 2t+1)
//                                2: (g, 2t+8) (g, 2t+9)    3: (g+8, 2t+8) (g+8, 2t+9)
//   FragmentB [16, 8]   register 0: (2t, g) (2t+1, g)      1: (2t+8, g) (2t+9, g)
//   FragmentC [16, 8]   register 0: (g, 2t)  1: (g, 2t+1)  2: (g+8, 2t)  3: (g+8, 2t+1)
// with the lower column (row, in B) in the lower half of a register. In tf32 one register is one
// element: A [16, 8] holds (g, t) (g+8, t) (g, t+4) (g+8, t+4), B [8, 8] holds (t, g) (t+4, g).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/element.h"

namespace heed::kernels::cuda {

struct FragmentA {
  uint32_t r[4];
};
struct FragmentB {
  uint32_t r[2];
};
struct FragmentC {
  float r[4];
};

}  // namespace heed::kernels::cuda

#if defined(HEED_CUDA_EMULATION)
#include "emulation_mma.h"
#else

namespace heed::kernels::cuda {

/// c += a b for T = bfloat16 or float16, summed in f32.
template <class T>
__device__ void mma(FragmentC& c, const FragmentA& a, const FragmentB& b) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c.r[0]), "+f"(c.r[1]), "+f"(c.r[2]), "+f"(c.r[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
  } else {
    static_assert(std::is_same_v<T, float16>);
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c.r[0]), "+f"(c.r[1]), "+f"(c.r[2]), "+f"(c.r[3])
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
  }
}

/// c += a b for a [16, 8] and b [8, 8] of tf32: f32 numbers of which the upper 19 bits are read.
__device__ inline void mma_tf32(FragmentC& c, const FragmentA& a, const FragmentB& b) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c.r[0]), "+f"(c.r[1]), "+f"(c.r[2]), "+f"(c.r[3])
      : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
}

/// The nearest tf32, ties away from zero.
__device__ inline uint32_t to_tf32(float value) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

/// Two numbers rounded to bf16, `low` in the lower half.
__device__ inline uint32_t pack_bf16(float low, float high) {
  uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

/// Four 8 x 8 matrices of 16-bit elements from shared memory: lane 8 i + j gives the address of row
/// j of matrix i, 16 bytes aligned to 16. Register i receives (g, 2t) and (g, 2t+1) of matrix i; of
/// its transpose with kTransposed.
template <bool kTransposed = false>
__device__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  }
}

/// The same for two matrices; the addresses of lanes 16 to 31 are not read.
template <bool kTransposed = false>
__device__ void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(address)
                 : "memory");
  }
}

/// Starts a copy of 16 bytes to shared memory, both places aligned to 16; zeros where not `valid`,
/// when `from` is not read.
__device__ inline void cp_async_16(void* to, const void* from, bool valid = true) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  const int bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes)
               : "memory");
}

/// Ends this thread's group of copies.
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits for all of this thread's groups but the newest kPending; a barrier must follow before
/// other threads read what they brought.
template <int kPending>
__device__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace heed::kernels::cuda

#endif
