// Products of a warpgroup (PTX ISA, wgmma.mma_async; sm_90a): D [64, N] += A [64, 16] B [16, N] of
// bf16, summed in f32. B lies in shared memory, A there or in registers, D in registers. They run
// beside the threads that asked for them: from multiply to finished() nobody may touch D, A's
// registers or the shared memory.
//
// Which element a thread holds: its warp w of the four has rows 16w .. 16w + 15 of D and A, in the
// fragments of kernels/cuda/mma.h: D's columns 8n .. 8n + 7 are FragmentC n, A is FragmentA.
//
// Panels: shared memory of 64 columns, 128 bytes a row, rows one behind the other, piece p of 16
// bytes of row r at p ^ (r mod 8), aligned to 1024 bytes: the boxes of a TensorMap. Read as it
// stands ("K-major") the depth runs along the columns; across ("MN-major") it runs along the rows.
#pragma once

#include "kernels/cuda/hopper.h"
#include "kernels/cuda/mma.h"

namespace heed::kernels::cuda {

inline constexpr int kPanelColumns = 64, kPanelRow = 128;  // bytes

/// How an operand's panel is read.
enum class Depth { along_columns, along_rows };

}  // namespace heed::kernels::cuda

#if defined(HEED_CUDA_EMULATION)
#include "emulation_wgmma.h"
#else

namespace heed::kernels::cuda {

/// The descriptor of a matrix that begins at that place of a panel. `next_panel` is the distance in
/// bytes of the panels, which is read along rows alone, where N is more than 64.
__device__ inline uint64_t panel_descriptor(const void* at, int next_panel = 0) {
  constexpr uint64_t kEightRows = 8 * kPanelRow, kSwizzle128 = uint64_t{1} << 62;
  const auto encoded = [](uint64_t bytes) { return (bytes & 0x3ffff) >> 4; };
  return encoded(shared_address(at)) | encoded(static_cast<uint64_t>(next_panel)) << 16 |
         encoded(kEightRows) << 32 | kSwizzle128;
}

/// Before the first product of a group: what the threads did to its registers is done.
__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
/// Ends a group of products.
__device__ inline void end_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Lists of an instruction's operands.
#define HEED_ACCUMULATORS_8(d, n)                                                \
  "+f"((d)[n].r[0]), "+f"((d)[n].r[1]), "+f"((d)[n].r[2]), "+f"((d)[n].r[3]),    \
      "+f"((d)[(n) + 1].r[0]), "+f"((d)[(n) + 1].r[1]), "+f"((d)[(n) + 1].r[2]), \
      "+f"((d)[(n) + 1].r[3])
#define HEED_ACCUMULATORS_32(d, n)                                                             \
  HEED_ACCUMULATORS_8(d, n), HEED_ACCUMULATORS_8(d, (n) + 2), HEED_ACCUMULATORS_8(d, (n) + 4), \
      HEED_ACCUMULATORS_8(d, (n) + 6)
#define HEED_REGISTERS_32                                                        \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, " \
  "%17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define HEED_REGISTERS_64                                                        \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, " \
  "%17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "  \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, "  \
  "%47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "  \
  "%62, %63}"

/// Waits for all groups but the newest kPending, after which d may be read.
template <int kPending, int kFragments>
__device__ void finished(FragmentC (&d)[kFragments]) {
  static_assert(kFragments % 8 == 0);
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
#pragma unroll
  for (int n = 0; n < kFragments; n += 8) asm volatile("" : HEED_ACCUMULATORS_32(d, n)::"memory");
}

/// d = a b, or d += a b; a from a panel along its columns, b read as kDepth says. N is 64.
template <Depth kDepth>
__device__ void multiply(FragmentC (&d)[8], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " HEED_REGISTERS_32
      ", %32, %33, p, 1, 1, 0, %35;\n}"
      : HEED_ACCUMULATORS_32(d, 0)
      : "l"(a), "l"(b), "r"(static_cast<int>(add)), "n"(kDepth == Depth::along_rows ? 1 : 0));
}

/// The same with a in registers; N is 8 kFragments: 64 or 128.
template <Depth kDepth, int kFragments>
__device__ void multiply(FragmentC (&d)[kFragments], const FragmentA& a, uint64_t b, bool add) {
  constexpr int kTransposed = kDepth == Depth::along_rows ? 1 : 0;
  static_assert(kFragments == 8 || kFragments == 16);
  if constexpr (kFragments == 8) {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " HEED_REGISTERS_32
        ", {%32, %33, %34, %35}, %36, p, 1, 1, %38;\n}"
        : HEED_ACCUMULATORS_32(d, 0)
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "l"(b), "r"(static_cast<int>(add)),
          "n"(kTransposed));
  } else {
    asm volatile(
        "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " HEED_REGISTERS_64
        ", {%64, %65, %66, %67}, %68, p, 1, 1, %70;\n}"
        : HEED_ACCUMULATORS_32(d, 0), HEED_ACCUMULATORS_32(d, 8)
        : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "l"(b), "r"(static_cast<int>(add)),
          "n"(kTransposed));
  }
}

#undef HEED_REGISTERS_64
#undef HEED_REGISTERS_32
#undef HEED_ACCUMULATORS_32
#undef HEED_ACCUMULATORS_8

}  // namespace heed::kernels::cuda

#endif
