// A vector of Philox blocks gives four vectors of words: words j of the blocks, that is elements
// 4 * lane + j. They are interleaved on their way to memory.
#include "kernels/random/random_rows.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/random/random_rows.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/philox-inl.h"
#include "kernels/simd_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
namespace sm = heed::simd::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using U = hn::RebindToUnsigned<F>;
using VF = hn::Vec<F>;
using VU = hn::Vec<U>;
constexpr size_t kMaxWords = 4 * 64 / sizeof(float);

// Uniform in [0, 1), 24 bits.
HWY_INLINE VF to_uniform(VU words) {
  const hn::RebindToSigned<F> di;
  return hn::Mul(hn::ConvertTo(F(), hn::BitCast(di, hn::ShiftRight<8>(words))),
                 hn::Set(F(), 0x1p-24f));
}

// Calls block(c0, c1, c2, c3, to) with vectors of words and the place of their 4 * lanes elements;
// the last place may be a buffer.
template <class T, class Block>
HWY_INLINE void for_blocks(const RandomStream& stream, int64_t first, int64_t n, T* to,
                           Block block) {
  const U d;
  const int64_t step = 4 * static_cast<int64_t>(hn::Lanes(d));
  VU c0, c1, c2, c3;
  for (int64_t i = 0; i < n; i += step) {
    sm::philox_blocks(d, stream, static_cast<uint64_t>((first + i) / 4), c0, c1, c2, c3);
    if (i + step <= n) {
      block(c0, c1, c2, c3, to + i);
    } else {
      HWY_ALIGN T buffer[kMaxWords];
      block(c0, c1, c2, c3, buffer);
      std::copy_n(buffer, n - i, to + i);
    }
  }
}

void words(const RandomStream& stream, int64_t first, int64_t n, uint32_t* to) {
  for_blocks(stream, first, n, to, [](VU a, VU b, VU c, VU d, uint32_t* at) HWY_ATTR {
    hn::StoreInterleaved4(a, b, c, d, U(), at);
  });
}

void uniforms(const RandomStream& stream, int64_t first, int64_t n, float* to) {
  for_blocks(stream, first, n, to, [](VU a, VU b, VU c, VU d, float* at) HWY_ATTR {
    hn::StoreInterleaved4(to_uniform(a), to_uniform(b), to_uniform(c), to_uniform(d), F(), at);
  });
}

// Box-Muller: radius from one word, angle from the other. The angle in quarter turns is reduced
// exactly: 4 u = quadrant + f, |f| <= 1/2.
HWY_INLINE void normal_pair(VU radius_words, VU angle_words, VF& first, VF& second) {
  const F d;
  const hn::RebindToSigned<F> di;
  const VF u = hn::Add(to_uniform(radius_words), hn::Set(d, 0x1p-24f));  // (0, 1]
  const VF radius = hn::Sqrt(hn::Mul(hn::Set(d, -2.0f), sm::log(d, u)));
  const VF quarters = hn::Mul(to_uniform(angle_words), hn::Set(d, 4.0f));
  const auto quadrant = hn::NearestInt(quarters);
  const VF f = hn::Sub(quarters, hn::ConvertTo(d, quadrant));
  const VF f2 = hn::Mul(f, f);
  const VF sine = hn::Mul(f, sm::polynomial(d, f2, 1.570796327e+00f, -6.459640961e-01f,
                                            7.969258179e-02f, -4.681260235e-03f, 1.581941834e-04f));
  const VF cosine = sm::polynomial(d, f2, 1.0f, -1.233700540e+00f, 2.536691822e-01f,
                                   -2.085993314e-02f, 9.033565341e-04f);
  const auto one = hn::Set(di, 1), two = hn::Set(di, 2);
  const auto odd = hn::RebindMask(d, hn::TestBit(quadrant, one));
  const auto sine_sign = hn::ShiftLeft<30>(hn::And(quadrant, two));
  const auto cosine_sign = hn::ShiftLeft<30>(hn::And(hn::Add(quadrant, one), two));
  const VF c = hn::Xor(hn::IfThenElse(odd, sine, cosine), hn::BitCast(d, cosine_sign));
  const VF s = hn::Xor(hn::IfThenElse(odd, cosine, sine), hn::BitCast(d, sine_sign));
  first = hn::Mul(radius, c);
  second = hn::Mul(radius, s);
}

void normals(const RandomStream& stream, int64_t first, int64_t n, float* to) {
  for_blocks(stream, first, n, to, [](VU a, VU b, VU c, VU d, float* at) HWY_ATTR {
    VF x0, x1, x2, x3;
    normal_pair(a, b, x0, x1);
    normal_pair(c, d, x2, x3);
    hn::StoreInterleaved4(x0, x1, x2, x3, F(), at);
  });
}

// The standard normal's quantile at p in (0, 1): x P(w) with x = 2 p - 1, w = -log(1 - x^2), P a
// polynomial in w up to 5 and in sqrt(w) beyond.
HWY_INLINE VF quantile(VF p) {
  const F d;
  const VF one = hn::Set(d, 1.0f);
  const VF x = hn::MulSub(hn::Set(d, 2.0f), p, one);
  const VF rest = hn::Mul(hn::Mul(hn::Set(d, 4.0f), p), hn::Sub(one, p));
  const VF w = hn::Neg(sm::log(d, rest));
  const VF central =
      sm::polynomial(d, w, 1.253314130e+00f, 3.281170880e-01f, 1.633226377e-02f, -3.301194855e-03f,
                     -1.802847775e-04f, 6.302390364e-05f, 5.633420355e-06f, -2.795190365e-06f,
                     3.125897571e-07f, -1.243261077e-08f);
  const VF root = hn::Sqrt(hn::Max(w, hn::Zero(d)));
  const VF tail = sm::polynomial(d, root, 2.066599434e+00f, -1.088582990e+00f, 1.822633912e-01f,
                                 1.031221421e+00f, -7.228421003e-01f, 2.372952064e-01f,
                                 -4.314727123e-02f, 4.203667006e-03f, -1.721305799e-04f);
  return hn::Mul(x, hn::IfThenElse(hn::Lt(w, hn::Set(d, 5.0f)), central, tail));
}

void truncated_normals(const RandomStream& stream, float cut, float below, int64_t first, int64_t n,
                       float* to) {
  const auto draw = [cut, below](VU w) HWY_ATTR {
    const F d;
    const VF u = hn::Add(to_uniform(w), hn::Set(d, 0x1p-25f));  // inside (0, 1)
    const VF p = hn::MulAdd(hn::Set(d, 1.0f - 2.0f * below), u, hn::Set(d, below));
    const VF largest = hn::Set(d, 1.0f - 0x1p-24f);
    const VF limit = hn::Set(d, cut);
    return hn::Clamp(quantile(hn::Min(p, largest)), hn::Neg(limit), limit);
  };
  for_blocks(stream, first, n, to, [draw](VU a, VU b, VU c, VU d, float* at) HWY_ATTR {
    hn::StoreInterleaved4(draw(a), draw(b), draw(c), draw(d), F(), at);
  });
}

template <class T>
HWY_INLINE void drop_row(const RandomStream& stream, uint32_t threshold, float scale, const T* x,
                         int64_t first, int64_t n, T* to) {
  constexpr int64_t kDraws = 512;
  const F d;
  const U du;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto limit = hn::Set(du, threshold);
  const VF factor = hn::Set(d, scale);
  HWY_ALIGN uint32_t drawn[kDraws];
  for (int64_t begin = 0; begin < n; begin += kDraws) {
    const int64_t count = std::min(kDraws, n - begin);
    words(stream, first + begin, count, drawn);
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
      const auto dropped = hn::RebindMask(d, hn::Lt(hn::LoadU(du, drawn + i), limit));
      const VF value = hn::Mul(sm::load_f32(d, x + begin + i), factor);
      sm::store_f32(d, hn::IfThenZeroElse(dropped, value), to + begin + i);
    }
    for (; i < count; ++i) {  // one multiplication: the scalar result is the same
      to[begin + i] = T(drawn[i] < threshold ? 0.0f : static_cast<float>(x[begin + i]) * scale);
    }
  }
}

void drop_f32(const RandomStream& stream, uint32_t threshold, float scale, const float* x,
              int64_t first, int64_t n, float* to) {
  drop_row(stream, threshold, scale, x, first, n, to);
}
void drop_bf16(const RandomStream& stream, uint32_t threshold, float scale, const bfloat16* x,
               int64_t first, int64_t n, bfloat16* to) {
  drop_row(stream, threshold, scale, x, first, n, to);
}

}  // namespace
}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

HWY_EXPORT(words);
HWY_EXPORT(uniforms);
HWY_EXPORT(normals);
HWY_EXPORT(truncated_normals);
HWY_EXPORT(drop_f32);
HWY_EXPORT(drop_bf16);

void random_words(const RandomStream& stream, int64_t first, int64_t n, uint32_t* to) {
  HWY_DYNAMIC_DISPATCH(words)(stream, first, n, to);
}
void random_uniforms(const RandomStream& stream, int64_t first, int64_t n, float* values) {
  HWY_DYNAMIC_DISPATCH(uniforms)(stream, first, n, values);
}
void random_normals(const RandomStream& stream, int64_t first, int64_t n, float* values) {
  HWY_DYNAMIC_DISPATCH(normals)(stream, first, n, values);
}
void random_truncated_normals(const RandomStream& stream, double cut, int64_t first, int64_t n,
                              float* values) {
  const double below = 0.5 * std::erfc(cut / std::numbers::sqrt2);
  HWY_DYNAMIC_DISPATCH(truncated_normals)
  (stream, static_cast<float>(cut), static_cast<float>(below), first, n, values);
}
void drop(const RandomStream& stream, uint32_t threshold, float scale, const float* x,
          int64_t first, int64_t n, float* to) {
  HWY_DYNAMIC_DISPATCH(drop_f32)(stream, threshold, scale, x, first, n, to);
}
void drop(const RandomStream& stream, uint32_t threshold, float scale, const bfloat16* x,
          int64_t first, int64_t n, bfloat16* to) {
  HWY_DYNAMIC_DISPATCH(drop_bf16)(stream, threshold, scale, x, first, n, to);
}

}  // namespace heed::kernels
#endif
