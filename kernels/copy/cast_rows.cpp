#include "kernels/copy/cast_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/copy/cast_rows.cpp"
#include "kernels/simd.h"
#include "kernels/simd_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
namespace sm = heed::simd::HWY_NAMESPACE;

// Conversions are exact or correctly rounded: the tail may use the scalar type.
template <class From, class To>
void cast_row(const From* from, To* to, int64_t n) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) sm::store_f32(d, sm::load_f32(d, from + i), to + i);
  for (; i < n; ++i) to[i] = To(static_cast<float>(from[i]));
}

void narrow(const float* from, bfloat16* to, int64_t n) { cast_row(from, to, n); }
void widen(const bfloat16* from, float* to, int64_t n) { cast_row(from, to, n); }

}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

HWY_EXPORT(narrow);
HWY_EXPORT(widen);

void f32_to_bf16(const float* from, bfloat16* to, int64_t n) {
  HWY_DYNAMIC_DISPATCH(narrow)(from, to, n);
}
void bf16_to_f32(const bfloat16* from, float* to, int64_t n) {
  HWY_DYNAMIC_DISPATCH(widen)(from, to, n);
}

}  // namespace heed::kernels
#endif
