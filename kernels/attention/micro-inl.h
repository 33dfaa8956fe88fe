// What the fused attention kernels are made of, for one instruction set: register-blocked products
// of small matrices, transposition, packing, 2^x.
//
// Products have the form C[m x n] (+)= A[m x k] B[k x n]. Elements of A are broadcast, so A has any
// strides (and may be a transposed view); rows of B and C are vectors. 4 x 4 vectors of C stay in
// registers: 16 multiply-adds for 4 + 4 loads, about 97% of the peak of a Zen 4 core.
//
// Elements of A and B are words of 32 bits: an f32, or a pair of bf16 that follow each other along
// k (operands-inl.h). C is f32.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ATTENTION_MICRO_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ATTENTION_MICRO_INL_H_
#undef HEED_KERNELS_ATTENTION_MICRO_INL_H_
#else
#define HEED_KERNELS_ATTENTION_MICRO_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hwy/cache_control.h"
#include "kernels/attention/tiles.h"
#include "kernels/simd.h"
#include "kernels/simd_math-inl.h"
#include "kernels/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using simd::HWY_NAMESPACE::transpose;
using F = hn::CappedTag<float, 16>;
using V = hn::Vec<F>;
inline constexpr F kF{};
inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(F()));
inline constexpr int kVectors = kQueries / kLanes;  // of a row of kQueries lanes

// Registers: 32 with AVX-512, else 16. A panel of C is kPanel vectors wide and rows(width) high; a
// height always divides kRowUnit.
inline constexpr int kPanel = kLanes == 16 ? 4 : 2;
constexpr int panel_rows(int width) {
  if (kLanes == 16) return width == 1 ? 16 : width == 4 ? 4 : 8;
  return width == 1 ? 8 : 4;
}

/// A: word (row, k) at data[row * row_stride + k * k_stride].
struct Broadcast {
  const float* data;
  size_t row_stride, k_stride;
};

// Loops over kRows and kWidth unroll entirely, early enough for `sum` to live in registers alone.
template <int kRows, int kWidth, bool kAccumulate>
HWY_NOINLINE void product_tile(Broadcast a, const float* HWY_RESTRICT b, size_t b_stride, size_t k,
                               float* HWY_RESTRICT c, size_t c_stride) {
  V sum[kRows][kWidth];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w) {
      sum[r][w] = hn::Zero(kF);
      if constexpr (kAccumulate)
        sum[r][w] = hn::Load(kF, c + static_cast<size_t>(r) * c_stride + w * kLanes);
    }
  }
  const float* HWY_RESTRICT column = a.data;
  for (size_t p = 0; p < k; ++p) {
    V row[kWidth];
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w) row[w] = hn::Load(kF, b + w * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const V element = hn::Set(kF, column[static_cast<size_t>(r) * a.row_stride]);
#pragma GCC unroll 4
      for (int w = 0; w < kWidth; ++w) sum[r][w] = hn::MulAdd(element, row[w], sum[r][w]);
    }
    column += a.k_stride;
    b += b_stride;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w)
      hn::Store(sum[r][w], kF, c + static_cast<size_t>(r) * c_stride + w * kLanes);
  }
}

/// Operands of f32: one a word.
struct SingleProducts {
  static constexpr int64_t kEach = 1;
  template <int kRows, int kWidth, bool kAccumulate>
  static void tile(Broadcast a, const float* b, size_t b_stride, size_t k, float* c,
                   size_t c_stride) {
    product_tile<kRows, kWidth, kAccumulate>(a, b, b_stride, k, c, c_stride);
  }
};

/// Words of n numbers along k.
template <class P>
constexpr size_t words(int64_t n) {
  return static_cast<size_t>((n + P::kEach - 1) / P::kEach);
}

template <class P, int kWidth, bool kAccumulate>
HWY_INLINE void product_panel(size_t m, Broadcast a, const float* b, size_t b_stride, size_t k,
                              float* c, size_t c_stride) {
  constexpr int kRows = panel_rows(kWidth);
  for (size_t r = 0; r < m; r += kRows) {
    P::template tile<kRows, kWidth, kAccumulate>(
        {a.data + r * a.row_stride, a.row_stride, a.k_stride}, b, b_stride, k, c + r * c_stride,
        c_stride);
  }
}

/// C[m x n vectors] = A B, or += when accumulating; k counts words. m is a multiple of kRowUnit.
template <class P, bool kAccumulate>
void product(size_t m, int n, size_t k, Broadcast a, const float* b, size_t b_stride, float* c,
             size_t c_stride) {
  for (; n >= kPanel; n -= kPanel, b += kPanel * kLanes, c += kPanel * kLanes)
    product_panel<P, kPanel, kAccumulate>(m, a, b, b_stride, k, c, c_stride);
  if constexpr (kPanel == 4) {
    if (n == 3) product_panel<P, 3, kAccumulate>(m, a, b, b_stride, k, c, c_stride);
    if (n == 2) product_panel<P, 2, kAccumulate>(m, a, b, b_stride, k, c, c_stride);
  }
  if (n == 1) product_panel<P, 1, kAccumulate>(m, a, b, b_stride, k, c, c_stride);
}

/// 2^x for x up to 127, within 3 ulp; exactly 0 from -127 downwards; NaN stays NaN.
HWY_INLINE V exp2(V x) {
  const hn::RebindToSigned<F> di;
  x = hn::Max(hn::Set(kF, -127.0f), x);
  // The sum's low bits hold round(x) + 127: shifted, they are the exponent of 2^round(x).
  const V magic = hn::Set(kF, 12582912.0f + 127.0f);
  const V shifted = hn::Add(x, magic);
  const V f = hn::Sub(x, hn::Sub(shifted, magic));
  const V power = hn::BitCast(kF, hn::ShiftLeft<23>(hn::BitCast(di, shifted)));
  const V p = simd::HWY_NAMESPACE::polynomial(kF, f, 1.0f, 6.931469776e-01f, 2.402224209e-01f,
                                              5.550733743e-02f, 9.671512645e-03f, 1.326472712e-03f);
  return hn::Mul(p, power);
}

/// Rows of T as f32, zero-padded to `padded_rows` rows of to_stride elements.
template <class T>
void pack_rows(const T* HWY_RESTRICT from, int64_t from_stride, size_t rows, size_t width,
               float* HWY_RESTRICT to, size_t to_stride, size_t padded_rows) {
  // Rows are short and far apart: more than the hardware's prefetching can follow.
  constexpr size_t kAhead = 8, kLine = 64 / sizeof(T);
  for (size_t r = 0; r < rows; ++r, from += from_stride, to += to_stride) {
    for (size_t c = 0; r + kAhead < rows && c < width; c += kLine)
      hwy::Prefetch(from + static_cast<int64_t>(kAhead) * from_stride + c);
    size_t c = 0;
    for (; c + kLanes <= width; c += kLanes)
      hn::Store(simd::HWY_NAMESPACE::load_f32(kF, from + c), kF, to + c);
    for (; c < width; ++c) to[c] = static_cast<float>(from[c]);
    for (; c < to_stride; ++c) to[c] = 0.0f;
  }
  std::fill(to, to + (padded_rows - std::min(rows, padded_rows)) * to_stride, 0.0f);
}

/// The reverse of pack_rows: rows of f32, times `factor`, as T.
template <class T>
void unpack_rows(const float* HWY_RESTRICT from, size_t from_stride, size_t rows, size_t width,
                 float factor, T* HWY_RESTRICT to, int64_t to_stride) {
  const V by = hn::Set(kF, factor);
  for (size_t r = 0; r < rows; ++r, from += from_stride, to += to_stride) {
    size_t c = 0;
    for (; c + kLanes <= width; c += kLanes)
      simd::HWY_NAMESPACE::store_f32(kF, hn::Mul(hn::Load(kF, from + c), by), to + c);
    for (; c < width; ++c) to[c] = static_cast<T>(from[c] * factor);
  }
}

}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
