// Highway, with the instruction sets that pay: SSE4 (the least a machine must have), AVX2, AVX-512.
// Each set costs compile time and code, so the choice is made here for every kernel.
//
// A file with its own SIMD code includes this in place of Highway's headers. It is compiled once
// for each set; what must exist once goes under HWY_ONCE:
//
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "kernels/norm/layer_norm.cpp"
//   #include "kernels/simd.h"
//   #include "kernels/simd_math-inl.h"
//
//   HWY_BEFORE_NAMESPACE();
//   namespace heed::kernels::HWY_NAMESPACE {
//   void rows(const float* x, int64_t n, float* y) { ... }
//   }  // namespace heed::kernels::HWY_NAMESPACE
//   HWY_AFTER_NAMESPACE();
//
//   #if HWY_ONCE
//   namespace heed::kernels {
//   HWY_EXPORT(rows);
//   void layer_norm(...) { HWY_DYNAMIC_DISPATCH(rows)(...); }
//   }  // namespace heed::kernels
//   #endif
//
// No include guard here: Highway's own headers open themselves again for each instruction set.
#if defined(__x86_64__) && !defined(HWY_BASELINE_TARGETS)
#define HWY_BASELINE_TARGETS HWY_SSE4
#define HWY_DISABLED_TARGETS (HWY_SCALAR | HWY_SSSE3)
#elif defined(__aarch64__) && !defined(HWY_DISABLED_TARGETS)
// SVE's vectors cannot be members of a struct, which the functors of elementwise kernels need
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#endif

#if defined(HWY_TARGET_INCLUDE)
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#endif
#include "hwy/highway.h"
