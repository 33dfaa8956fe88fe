#include "kernels/fft/lanes.h"

#include <algorithm>

#include "kernels/copy/transpose_block.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/fft/lanes.cpp"
#include "kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr hn::CappedTag<float, 16> kTag;
constexpr int64_t kWidth = static_cast<int64_t>(hn::MaxLanes(kTag));

void from_pairs(const float* x, int64_t stride, int64_t pairs, float* lanes) {
  for (int64_t c = 0; c < pairs; ++c, x += stride, lanes += 32)
    for (int64_t l = 0; l < 16; l += kWidth) {
      hn::Vec<decltype(kTag)> re, im;
      hn::LoadInterleaved2(kTag, x + 2 * l, re, im);
      hn::StoreU(re, kTag, lanes + l);
      hn::StoreU(im, kTag, lanes + 16 + l);
    }
}

void to_pairs(const float* lanes, int64_t pairs, float* x, int64_t stride) {
  for (int64_t c = 0; c < pairs; ++c, x += stride, lanes += 32)
    for (int64_t l = 0; l < 16; l += kWidth)
      hn::StoreInterleaved2(hn::LoadU(kTag, lanes + l), hn::LoadU(kTag, lanes + 16 + l), kTag,
                            x + 2 * l);
}

}  // namespace
}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

HWY_EXPORT(from_pairs);
HWY_EXPORT(to_pairs);

void rows_to_lanes(const float* x, int64_t stride, int64_t columns, float* lanes) {
  transpose_fn(sizeof(float))(x, stride, lanes, 16, columns, 16);
}
void lanes_to_rows(const float* lanes, int64_t columns, float* x, int64_t stride) {
  transpose_fn(sizeof(float))(lanes, 16, x, stride, 16, columns);
}
void vectors_to_lanes(const float* x, int64_t stride, int64_t columns, float* lanes) {
  for (int64_t c = 0; c < columns; ++c) std::copy_n(x + c * stride, 16, lanes + 16 * c);
}
void lanes_to_vectors(const float* lanes, int64_t columns, float* x, int64_t stride) {
  for (int64_t c = 0; c < columns; ++c) std::copy_n(lanes + 16 * c, 16, x + c * stride);
}
void pairs_to_lanes(const float* x, int64_t stride, int64_t pairs, float* lanes) {
  HWY_DYNAMIC_DISPATCH(from_pairs)(x, stride, pairs, lanes);
}
void lanes_to_pairs(const float* lanes, int64_t pairs, float* x, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(to_pairs)(lanes, pairs, x, stride);
}

}  // namespace heed::kernels
#endif
