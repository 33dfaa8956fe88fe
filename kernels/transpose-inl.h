// Transposition of f32 matrices in registers, for one instruction set. Included after
// kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_TRANSPOSE_INL_H_
#undef HEED_KERNELS_TRANSPOSE_INL_H_
#else
#define HEED_KERNELS_TRANSPOSE_INL_H_
#endif

#include <cstddef>

#include "hwy/cache_control.h"
#include "kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace heed::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

inline constexpr size_t kTransposeLanes = hn::MaxLanes(hn::CappedTag<float, 16>());

/// to[c][r] = from[r][c] for rows a multiple of 4 and columns of kTransposeLanes. Whole groups of 4
/// are written, in the order of r and within it of c. kFromMemory: fetch the next four rows early.
template <bool kFromMemory = false>
void transpose(const float* HWY_RESTRICT from, size_t from_stride, size_t rows, size_t columns,
               float* HWY_RESTRICT to, size_t to_stride) {
  constexpr hn::CappedTag<float, 16> f;
  const hn::Full128<float> d4;
  HWY_ALIGN float buffer[4 * kTransposeLanes];
  for (size_t r = 0; r < rows; r += 4) {
    for (size_t c = 0; c < columns; c += kTransposeLanes) {
      const float* at = from + r * from_stride + c;
      if constexpr (kFromMemory) {
        for (size_t next = 4; next < 8; ++next) hwy::Prefetch(at + next * from_stride);
      }
      const auto r0 = hn::LoadU(f, at), r1 = hn::LoadU(f, at + from_stride);
      const auto r2 = hn::LoadU(f, at + 2 * from_stride), r3 = hn::LoadU(f, at + 3 * from_stride);
      const auto l02 = hn::InterleaveLower(f, r0, r2), u02 = hn::InterleaveUpper(f, r0, r2);
      const auto l13 = hn::InterleaveLower(f, r1, r3), u13 = hn::InterleaveUpper(f, r1, r3);
      // Block i of vector j: rows r .. r + 3 of column 4 i + j.
      hn::Store(hn::InterleaveLower(f, l02, l13), f, buffer);
      hn::Store(hn::InterleaveUpper(f, l02, l13), f, buffer + kTransposeLanes);
      hn::Store(hn::InterleaveLower(f, u02, u13), f, buffer + 2 * kTransposeLanes);
      hn::Store(hn::InterleaveUpper(f, u02, u13), f, buffer + 3 * kTransposeLanes);
      float* target = to + c * to_stride + r;
      for (size_t i = 0; i < kTransposeLanes / 4; ++i) {
        for (size_t j = 0; j < 4; ++j) {
          hn::StoreU(hn::Load(d4, buffer + j * kTransposeLanes + 4 * i), d4,
                     target + (4 * i + j) * to_stride);
        }
      }
    }
  }
}

}  // namespace heed::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
