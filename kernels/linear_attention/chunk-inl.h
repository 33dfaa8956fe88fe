// What the chunked kernels are made of, for one instruction set: a chunk's rows, its decays, and
// the products of rows with states.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_LINEAR_ATTENTION_CHUNK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_LINEAR_ATTENTION_CHUNK_INL_H_
#undef HEED_KERNELS_LINEAR_ATTENTION_CHUNK_INL_H_
#else
#define HEED_KERNELS_LINEAR_ATTENTION_CHUNK_INL_H_
#endif

#include <optional>

#include "kernels/attention/micro-inl.h"
#include "kernels/linear_attention/problem.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::linear::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using attn::padded;
using attn::row_stride;
using attn::Rows;
using attn::Scratch;
using attn::HWY_NAMESPACE::Broadcast;
using attn::HWY_NAMESPACE::kF;
using attn::HWY_NAMESPACE::kLanes;
using attn::HWY_NAMESPACE::pack_rows;
using attn::HWY_NAMESPACE::unpack_rows;
using attn::HWY_NAMESPACE::V;
using simd::HWY_NAMESPACE::transpose;

constexpr int64_t kTasksGrain = 4;                  // chunks that share their scratch
constexpr int kUnitVectors = kUnit / kLanes;        // of a unit's lanes
constexpr size_t kPairStride = row_stride(kChunk);  // of rows of pairs

/// C[m x n vectors] = A B, or += when accumulating. m is a multiple of kUnit.
template <bool kAccumulate>
void product(size_t m, int n, size_t k, Broadcast a, const float* b, size_t b_stride, float* c,
             size_t c_stride) {
  attn::HWY_NAMESPACE::product<attn::HWY_NAMESPACE::SingleProducts, kAccumulate>(
      m, n, k, a, b, b_stride, c, c_stride);
}

inline int vectors(size_t width) { return static_cast<int>(width) / kLanes; }

/// The rows of a chunk in f32, zero-padded in both directions.
template <class T>
void load_chunk(const Rows<const T>& from, const Chunk& c, int64_t width, float* to) {
  pack_rows(from.head(c.b, c.h) + c.first * from.row_stride, from.row_stride,
            static_cast<size_t>(c.rows), static_cast<size_t>(width), to, row_stride(width),
            padded(c.rows));
}

template <class T>
void store_chunk(const float* from, const Chunk& c, int64_t width, const Rows<T>& to) {
  unpack_rows(from, row_stride(width), static_cast<size_t>(c.rows), static_cast<size_t>(width),
              1.0f, to.head(c.b, c.h) + c.first * to.row_stride, to.row_stride);
}

/// Decays of a chunk whose gate is one number for a token.
struct TokenDecays {
  // log2 of the product of the decays up to and with row i, in two parts
  HWY_ALIGN float high[kChunk], low[kChunk];
  HWY_ALIGN float from_start[kChunk];  // the product itself
  HWY_ALIGN float to_end[kChunk];      // of the decays behind row i
  float total = 1.0f;

  TokenDecays(const Problem& p, const Operands& x, const Chunk& c) {
    constexpr double kLog2E = 1.4426950408889634;
    const float* g = x.log_decay.data<float>() + (c.b * p.heads + c.h) * p.tokens + c.first;
    HWY_ALIGN float suffix[kChunk];
    double sum = 0.0;
    for (int64_t i = 0; i < kChunk; ++i) {
      if (i < c.rows) sum += static_cast<double>(std::max(g[i], kLeastLog)) * kLog2E;
      high[i] = static_cast<float>(sum);
      low[i] = static_cast<float>(sum - static_cast<double>(high[i]));
    }
    double behind = 0.0;
    for (int64_t i = kChunk - 1; i >= 0; --i) {
      suffix[i] = static_cast<float>(behind);
      if (i < c.rows) behind += static_cast<double>(std::max(g[i], kLeastLog)) * kLog2E;
    }
    for (int64_t i = 0; i < kChunk; i += kLanes) {
      hn::Store(attn::HWY_NAMESPACE::exp2(hn::Load(kF, high + i)), kF, from_start + i);
      hn::Store(attn::HWY_NAMESPACE::exp2(hn::Load(kF, suffix + i)), kF, to_end + i);
    }
    total = from_start[kChunk - 1];
  }

  /// Pairs (row, 0 .. end) times the decays between their tokens; end a multiple of kUnit. Pairs
  /// with later tokens get anything.
  HWY_INLINE void apply(int64_t row, int64_t end, float* pairs, float* more) const {
    const V h = hn::Set(kF, high[row]), l = hn::Set(kF, low[row]);
    for (int64_t j = 0; j < end; j += kLanes) {
      const V difference =
          hn::Add(hn::Sub(h, hn::Load(kF, high + j)), hn::Sub(l, hn::Load(kF, low + j)));
      const V decay = attn::HWY_NAMESPACE::exp2(hn::Min(hn::Set(kF, 126.0f), difference));
      hn::Store(hn::Mul(hn::Load(kF, pairs + j), decay), kF, pairs + j);
      if (more != nullptr) hn::Store(hn::Mul(hn::Load(kF, more + j), decay), kF, more + j);
    }
  }
};

/// Decays of a chunk by channel: to[i][d] = e^(g of row i); 1 in padding.
inline void load_channel_decays(const Problem& p, const Operands& x, const Chunk& c, float* to) {
  const size_t stride = row_stride(p.key_dim), width = padded(p.key_dim);
  const float* g =
      x.log_decay.data<float>() + ((c.b * p.heads + c.h) * p.tokens + c.first) * p.key_dim;
  pack_rows(g, p.key_dim, static_cast<size_t>(c.rows), static_cast<size_t>(p.key_dim), to, stride,
            padded(c.rows));
  for (size_t i = 0; i < padded(c.rows); ++i)
    for (size_t d = 0; d < width; d += static_cast<size_t>(kLanes)) {
      float* at = to + i * stride + d;
      const V log = hn::Max(hn::Set(kF, kLeastLog), hn::Load(kF, at));
      hn::Store(simd::HWY_NAMESPACE::exp(kF, log), kF, at);
    }
}

/// Row i of x (rows of `stride`) times by[i].
inline void scale_rows(size_t rows, size_t width, size_t stride, const float* by, float* x) {
  for (size_t i = 0; i < rows; ++i) {
    const V factor = hn::Set(kF, by[i]);
    for (size_t d = 0; d < width; d += static_cast<size_t>(kLanes)) {
      float* at = x + i * stride + d;
      hn::Store(hn::Mul(hn::Load(kF, at), factor), kF, at);
    }
  }
}

/// Rows of x times the products of the decays by channel: of the rows up to and with each
/// (`from_start`) or behind it. Leaves the product of all in `total` [width].
inline void scale_channels(size_t rows, size_t width, size_t stride, const float* decays,
                           bool from_start, float* x, float* total) {
  for (size_t d = 0; d < width; d += static_cast<size_t>(kLanes)) {
    V product = hn::Set(kF, 1.0f);
    for (size_t n = 0; n < rows; ++n) {
      const size_t at = (from_start ? n : rows - 1 - n) * stride + d;
      const V with = hn::Mul(product, hn::Load(kF, decays + at));
      hn::Store(hn::Mul(hn::Load(kF, x + at), from_start ? with : product), kF, x + at);
      product = with;
    }
    hn::Store(product, kF, total + d);
  }
}

/// to[m x n] (+)= a^T b over `rows` rows.
template <bool kAccumulate>
void transposed_product(size_t m, size_t n, size_t rows, const float* a, size_t a_stride,
                        const float* b, size_t b_stride, float* to, size_t to_stride) {
  product<kAccumulate>(m, vectors(n), rows, {a, 1, a_stride}, b, b_stride, to, to_stride);
}

/// What a chunk adds to the states: the product of each channel's decays over it [key width] and
/// a^T b, where a are its keys times the decays behind them and b its values (forwards), or a its
/// queries times the decays up to them and b the gradients of its results (backwards).
template <class T>
void chunk_sum(const Problem& p, const Operands& x, const Chunk& c, const Rows<const T>& a_rows,
               const Rows<const T>& b_rows, bool from_start, float* a, float* b, float* decays,
               float* total, float* sum) {
  const size_t rows = padded(c.rows), keys = padded(p.key_dim), values = padded(p.value_dim);
  const size_t a_stride = row_stride(p.key_dim);
  load_chunk(a_rows, c, p.key_dim, a);
  load_chunk(b_rows, c, p.value_dim, b);
  std::fill_n(total, keys, 1.0f);
  if (p.gate == Gate::token) {
    const TokenDecays d(p, x, c);
    scale_rows(rows, keys, a_stride, from_start ? d.from_start : d.to_end, a);
    std::fill_n(total, keys, d.total);
  } else if (p.gate == Gate::channel) {
    load_channel_decays(p, x, c, decays);
    scale_channels(rows, keys, a_stride, decays, from_start, a, total);
  }
  transposed_product<false>(keys, values, static_cast<size_t>(c.rows), a, a_stride, b,
                            row_stride(p.value_dim), sum, values);
}

/// Sums of all chunks, into the border behind each (forwards) or before it, and their decays
/// [sequences, chunks, key width].
template <class T>
void all_chunk_sums(const Problem& p, const Operands& x, const Rows<const T>& a_rows,
                    const Rows<const T>& b_rows, bool backwards, const States& states,
                    float* decays) {
  const size_t keys = padded(p.key_dim);
  parallel_for(p.sequences() * p.chunks(), kTasksGrain, [&](int64_t begin, int64_t end) {
    float *a, *b, *gates;
    const Scratch scratch({{&a, kChunk * row_stride(p.key_dim)},
                           {&b, kChunk * row_stride(p.value_dim)},
                           {&gates, kChunk * row_stride(p.key_dim)}});
    for (int64_t task = begin; task < end; ++task) {
      const Chunk c(p, task);
      float* sum = states.at<float>(task / p.chunks(), c.index + (backwards ? 0 : 1));
      chunk_sum(p, x, c, a_rows, b_rows, backwards, a, b, gates,
                decays + static_cast<size_t>(task) * keys, sum);
    }
  });
}

/// Sums to states: each border is its sum and the border before it (behind it, when backwards)
/// times the decays of the chunk in between.
inline void scan_states(const Problem& p, const float* decays, bool backwards,
                        const States& states) {
  const int64_t units = states.rows() / kUnit, chunks = p.chunks();
  const auto keys = states.rows(), width = states.width();
  parallel_for(p.sequences() * units, std::max<int64_t>(1, 16 / std::max<int64_t>(1, chunks)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t task = begin; task < end; ++task) {
                   const int64_t sequence = task / units, row = task % units * kUnit;
                   for (int64_t n = 0; n < chunks; ++n) {
                     const int64_t c = backwards ? chunks - 1 - n : n;
                     const float* by = decays + (sequence * chunks + c) * keys + row;
                     const float* from = states.at<float>(sequence, backwards ? c + 1 : c);
                     float* to = states.at<float>(sequence, backwards ? c : c + 1);
                     for (int64_t r = 0; r < kUnit; ++r) {
                       const V factor = hn::Set(kF, by[r]);
                       const int64_t at = (row + r) * width;
                       for (int64_t d = at; d < at + width; d += kLanes)
                         hn::Store(hn::MulAdd(factor, hn::Load(kF, from + d), hn::Load(kF, to + d)),
                                   kF, to + d);
                     }
                   }
                 }
               });
}

/// Zeros the pairs of a strip of kUnit rows, from `row` on, with later tokens.
inline void hide_later(int64_t row, float* pairs) {
  for (int64_t i = 0; i < kUnit; ++i) {
    float* at = pairs + static_cast<size_t>(row + i) * kPairStride + row;
    std::fill(at + i + 1, at + kUnit, 0.0f);
  }
}

}  // namespace heed::kernels::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
