#include "kernels/fft/lanes.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/fft/lanes.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr hn::CappedTag<float, 16> kTag;
constexpr int64_t kWidth = static_cast<int64_t>(hn::MaxLanes(kTag));

void from_rows(const float* x, int64_t stride, int64_t columns, float* lanes) {
  const int64_t whole = columns / kWidth * kWidth;
  simd::HWY_NAMESPACE::transpose(x, static_cast<size_t>(stride), 16, static_cast<size_t>(whole),
                                 lanes, 16);
  for (int64_t c = whole; c < columns; ++c)
    for (int64_t l = 0; l < 16; ++l) lanes[16 * c + l] = x[l * stride + c];
}

void to_rows(const float* lanes, int64_t columns, float* x, int64_t stride) {
  const int64_t whole = columns / 4 * 4;
  simd::HWY_NAMESPACE::transpose(lanes, 16, static_cast<size_t>(whole), 16, x,
                                 static_cast<size_t>(stride));
  for (int64_t c = whole; c < columns; ++c)
    for (int64_t l = 0; l < 16; ++l) x[l * stride + c] = lanes[16 * c + l];
}

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

HWY_EXPORT(from_rows);
HWY_EXPORT(to_rows);
HWY_EXPORT(from_pairs);
HWY_EXPORT(to_pairs);

void rows_to_lanes(const float* x, int64_t stride, int64_t columns, float* lanes) {
  HWY_DYNAMIC_DISPATCH(from_rows)(x, stride, columns, lanes);
}
void lanes_to_rows(const float* lanes, int64_t columns, float* x, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(to_rows)(lanes, columns, x, stride);
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
