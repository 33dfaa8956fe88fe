// The operands of a tile's products, as words of 32 bits: of f32, one a word; of bf16, pairs along
// the dimension that is summed over, for the processor's dot products (AVX512_BF16: two products a
// lane and instruction, summed in f32).
//
// `along`: pairs of neighbouring features, or queries of a row of S^T. `across`: pairs of
// neighbouring tokens, or rows of S^T.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ATTENTION_OPERANDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ATTENTION_OPERANDS_INL_H_
#undef HEED_KERNELS_ATTENTION_OPERANDS_INL_H_
#else
#define HEED_KERNELS_ATTENTION_OPERANDS_INL_H_
#endif

#include <cstring>

#include "kernels/attention/tile-inl.h"

#if HWY_TARGET <= HWY_AVX3 && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {

/// The tokens in slots [first, first + count) of a head.
template <class T>
struct Tokens {
  const T* head;
  int64_t stride;
  const int32_t* order;
  int64_t first, count;

  const T* row(int64_t r) const {
    return head + (order == nullptr ? first + r : order[first + r]) * stride;
  }
};

/// f32 operands, of tokens of any dtype. Along and across are the same.
struct Singles : SingleProducts {
  /// Rows of the tokens, zero-padded to `padded_rows`.
  template <class T>
  static void pack_along(const Tokens<T>& tokens, int64_t width, float* to, size_t stride,
                         size_t padded_rows) {
    const auto w = static_cast<size_t>(width);
    if (tokens.order == nullptr) {
      return pack_rows(tokens.row(0), tokens.stride, static_cast<size_t>(tokens.count), w, to,
                       stride, padded_rows);
    }
    for (int64_t r = 0; r < tokens.count; ++r, to += stride)
      pack_rows(tokens.row(r), 0, 1, w, to, stride, 1);
    std::fill_n(to, (padded_rows - static_cast<size_t>(tokens.count)) * stride, 0.0f);
  }
  template <class T>
  static void pack_across(const Tokens<T>& tokens, int64_t width, float* to, size_t stride,
                          size_t padded_rows) {
    pack_along(tokens, width, to, stride, padded_rows);
  }
  static void negate(float* x, size_t n) {
    for (size_t i = 0; i < n; ++i) x[i] = -x[i];
  }
  /// The tile's S^T as an operand.
  static const float* along(const TileView&, const float* s, float*) { return s; }
  static const float* across(const TileView&, const float* s, float*) { return s; }
};

#if HWY_TARGET <= HWY_AVX3 && (defined(__GNUC__) || defined(__clang__))
inline constexpr bool kCompilesPairs = true;

// What the processor must have beyond this target is asked at run time: Problem::pairs.
#define HEED_PAIRS_ATTR __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

// As product_tile. The two share no template: these intrinsics inline only into functions that have
// their target, and the attribute cannot depend on a template's argument.
template <int kRows, int kWidth, bool kAccumulate>
HEED_PAIRS_ATTR HWY_NOINLINE void pair_product_tile(Broadcast a, const float* HWY_RESTRICT b,
                                                    size_t b_stride, size_t k,
                                                    float* HWY_RESTRICT c, size_t c_stride) {
  __m512 sum[kRows][kWidth];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w) {
      sum[r][w] = _mm512_setzero_ps();
      if constexpr (kAccumulate)
        sum[r][w] = _mm512_load_ps(c + static_cast<size_t>(r) * c_stride + w * 16);
    }
  }
  const float* HWY_RESTRICT column = a.data;
  for (size_t p = 0; p < k; ++p) {
    __m512bh row[kWidth];
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w)
      row[w] = reinterpret_cast<__m512bh>(_mm512_load_ps(b + w * 16));
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const auto pair =
          reinterpret_cast<__m512bh>(_mm512_set1_ps(column[static_cast<size_t>(r) * a.row_stride]));
#pragma GCC unroll 4
      for (int w = 0; w < kWidth; ++w) sum[r][w] = _mm512_dpbf16_ps(sum[r][w], pair, row[w]);
    }
    column += a.k_stride;
    b += b_stride;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w)
      _mm512_store_ps(c + static_cast<size_t>(r) * c_stride + w * 16, sum[r][w]);
  }
}

/// `vectors` vectors of `rows` rows of S^T, rounded: neighbouring lanes become a word.
HEED_PAIRS_ATTR inline void pair_lanes(const float* s, int64_t rows, int vectors, float* to) {
  for (int64_t r = 0; r < rows; ++r, s += kQueries, to += kQueries / 2) {
    for (int w = 0; w < vectors; ++w) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(to + w * 8),
                         reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_load_ps(s + w * 16))));
    }
  }
}

/// The same: neighbouring rows become a word, the last one alone where their number is odd.
HEED_PAIRS_ATTR inline void pair_rows(const float* s, int64_t rows, int vectors, float* to) {
  alignas(64) static constexpr uint16_t kInterleave[32] = {
      0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i interleave = _mm512_load_si512(kInterleave);
  for (int64_t r = 0; r < rows; r += 2, s += 2 * kQueries, to += kQueries) {
    for (int w = 0; w < vectors; ++w) {
      const __m512 first = _mm512_load_ps(s + w * 16);
      const __m512 second =
          r + 1 < rows ? _mm512_load_ps(s + kQueries + w * 16) : _mm512_setzero_ps();
      const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
      _mm512_store_si512(to + w * 16, _mm512_permutexvar_epi16(interleave, both));
    }
  }
}
#undef HEED_PAIRS_ATTR

/// bf16 operands.
struct Pairs {
  static constexpr int64_t kEach = 2;

  template <int kRows, int kWidth, bool kAccumulate>
  static void tile(Broadcast a, const float* b, size_t b_stride, size_t k, float* c,
                   size_t c_stride) {
    pair_product_tile<kRows, kWidth, kAccumulate>(a, b, b_stride, k, c, c_stride);
  }

  static void pack_along(const Tokens<bfloat16>& tokens, int64_t width, float* to, size_t stride,
                         size_t padded_rows) {
    const size_t bytes = static_cast<size_t>(width) * sizeof(bfloat16);
    for (int64_t r = 0; r < tokens.count; ++r, to += stride) {
      prefetch(tokens, r + kAhead, width);
      if (width % 2 != 0) to[width / 2] = 0.0f;  // the last feature's partner
      std::memcpy(to, tokens.row(r), bytes);
      std::fill(to + words<Pairs>(width), to + stride, 0.0f);
    }
    std::fill_n(to, (padded_rows - static_cast<size_t>(tokens.count)) * stride, 0.0f);
  }

  /// Rows of two tokens each, half of `padded_rows`.
  static void pack_across(const Tokens<bfloat16>& tokens, int64_t width, float* to, size_t stride,
                          size_t padded_rows) {
    const hn::RebindToUnsigned<F> u32;
    const hn::Rebind<uint16_t, F> u16;
    const auto load = [&](const uint16_t* from, int64_t n) HWY_ATTR {
      if (n >= kLanes) return hn::PromoteTo(u32, hn::LoadU(u16, from));
      HWY_ALIGN uint16_t rest[kLanes] = {};
      std::copy_n(from, n, rest);
      return hn::PromoteTo(u32, hn::Load(u16, rest));
    };
    for (int64_t r = 0; r < tokens.count; r += 2, to += stride) {
      prefetch(tokens, r + kAhead, width);
      prefetch(tokens, r + kAhead + 1, width);
      const auto* first = reinterpret_cast<const uint16_t*>(tokens.row(r));
      const auto* second =
          r + 1 < tokens.count ? reinterpret_cast<const uint16_t*>(tokens.row(r + 1)) : nullptr;
      for (int64_t c = 0; c < static_cast<int64_t>(stride); c += kLanes) {
        auto word = hn::Zero(u32);
        if (c < width) word = load(first + c, width - c);
        if (c < width && second)
          word = hn::Or(word, hn::ShiftLeft<16>(load(second + c, width - c)));
        hn::Store(hn::BitCast(kF, word), kF, to + c);
      }
    }
    const int64_t missing = static_cast<int64_t>(padded_rows / 2) - (tokens.count + 1) / 2;
    std::fill_n(to, static_cast<size_t>(missing) * stride, 0.0f);
  }

  static void negate(float* x, size_t n) {
    const hn::RebindToUnsigned<F> u32;
    for (size_t i = 0; i < n; i += kLanes) {
      const auto bits = hn::BitCast(u32, hn::Load(kF, x + i));
      hn::Store(hn::BitCast(kF, hn::Xor(bits, hn::Set(u32, 0x80008000u))), kF, x + i);
    }
  }

  static const float* along(const TileView& t, const float* s, float* to) {
    t.for_rects([&](int64_t row, int64_t rows, int w, int n) {
      pair_lanes(s + row * kQueries + w * kLanes, rows, n, to + (row * kQueries + w * kLanes) / 2);
    });
    return to;
  }
  static const float* across(const TileView& t, const float* s, float* to) {
    t.for_rects([&](int64_t row, int64_t rows, int w, int n) {
      pair_rows(s + row * kQueries + w * kLanes, std::min(rows, t.keys - row), n,
                to + row / 2 * kQueries + w * kLanes);
    });
    return to;
  }

 private:
  static constexpr int64_t kAhead = 8;
  static void prefetch(const Tokens<bfloat16>& tokens, int64_t r, int64_t width) {
    for (int64_t c = 0; r < tokens.count && c < width; c += 32) hwy::Prefetch(tokens.row(r) + c);
  }
};
#else
inline constexpr bool kCompilesPairs = false;
using Pairs = Singles;
#endif

/// The queries of a block with the scale's sign: their features by lane (along), and their rows as
/// the other operand (across) where `to` is not null. `rows`: kQueries rows of scratch.
template <class P, class T>
void pack_queries(const Tokens<T>& queries, int64_t width, float sign, float* rows,
                  float* to_transposed, float* to) {
  const size_t depth = words<P>(width), stride = row_stride(static_cast<int64_t>(depth));
  constexpr bool kSame = P::kEach == 1;
  if (kSame && to != nullptr) rows = to;
  P::pack_along(queries, width, rows, stride, kQueries);
  if (sign < 0.0f) P::negate(rows, stride * kQueries);
  transpose(rows, stride, kQueries, padded(static_cast<int64_t>(depth)), to_transposed, kQueries);
  if (kSame || to == nullptr) return;
  const size_t to_stride = row_stride(width);
  P::pack_across(queries, width, to, to_stride, kQueries);
  if (sign < 0.0f) P::negate(to, to_stride * kQueries / P::kEach);
}

}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
