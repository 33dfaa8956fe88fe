#include "kernels/solve/gram_tiles.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/solve/gram_tiles.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/attention/micro-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using attn::padded;
using attn::row_stride;
using attn::HWY_NAMESPACE::kF;
using attn::HWY_NAMESPACE::kLanes;
using attn::HWY_NAMESPACE::pack_rows;
using attn::HWY_NAMESPACE::V;

constexpr size_t kPairStride = row_stride(GramTiles::kKeys);

template <bool kAccumulate>
void product(size_t m, size_t n, size_t k, const float* a, size_t a_stride, const float* b,
             size_t b_stride, float* c, size_t c_stride) {
  attn::HWY_NAMESPACE::product<attn::HWY_NAMESPACE::SingleProducts, kAccumulate>(
      m, static_cast<int>(n) / kLanes, k, {a, a_stride, 1}, b, b_stride, c, c_stride);
}

size_t tile_rows(const GramTiles& t) { return GramTiles::kKeys * row_stride(t.dim); }
size_t tile_columns(const GramTiles& t) { return padded(t.dim) * GramTiles::kKeys; }

void pack(const GramTiles& t, const float* from) {
  const size_t stride = row_stride(t.dim);
  for (int64_t first = 0, tile = 0; first < t.keys; first += GramTiles::kKeys, ++tile) {
    const auto count = static_cast<size_t>(std::min(GramTiles::kKeys, t.keys - first));
    float* rows = t.rows + static_cast<size_t>(tile) * tile_rows(t);
    pack_rows(from + first * t.dim, t.dim, count, static_cast<size_t>(t.dim), rows, stride,
              GramTiles::kKeys);
    simd::HWY_NAMESPACE::transpose(rows, stride, GramTiles::kKeys, padded(t.dim),
                                   t.columns + static_cast<size_t>(tile) * tile_columns(t),
                                   GramTiles::kKeys);
  }
}

/// pairs_j = w_j (pairs_j - offset) for `count` keys; their sum.
float weigh(const float* w, int64_t count, float offset, float* pairs) {
  const V by = hn::Set(kF, offset);
  V sum = hn::Zero(kF);
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    const V t = hn::Mul(hn::LoadU(kF, w + j), hn::Sub(hn::Load(kF, pairs + j), by));
    sum = hn::Add(sum, t);
    hn::Store(t, kF, pairs + j);
  }
  float total = hn::GetLane(hn::SumOfLanes(kF, sum));
  for (; j < count; ++j) total += pairs[j] = w[j] * (pairs[j] - offset);
  return total;
}

void apply(const GramTiles& t, const GramRows& r, const float* p, float* to) {
  const size_t stride = row_stride(t.dim), depth = padded(t.dim), rows = padded(r.count);
  const auto dim = static_cast<size_t>(t.dim);
  pack_rows(p, t.dim, static_cast<size_t>(r.count), dim, t.p, stride, rows);
  std::fill_n(t.sums, rows * stride, 0.0f);
  float offsets[GramTiles::kRows] = {}, totals[GramTiles::kRows] = {};
  for (int64_t i = 0; r.centre != nullptr && i < r.count; ++i) {
    V dot = hn::Zero(kF);
    const float *a = p + i * t.dim, *c = r.centre + i * t.dim;
    int64_t d = 0;
    for (; d + kLanes <= t.dim; d += kLanes)
      dot = hn::MulAdd(hn::LoadU(kF, a + d), hn::LoadU(kF, c + d), dot);
    float sum = hn::GetLane(hn::SumOfLanes(kF, dot));
    for (; d < t.dim; ++d) sum += a[d] * c[d];
    offsets[i] = sum;
  }
  for (int64_t first = 0, tile = 0; first < t.keys; first += GramTiles::kKeys, ++tile) {
    const int64_t count = std::min(GramTiles::kKeys, t.keys - first);
    product<false>(rows, padded(count), dim, t.p, stride,
                   t.columns + static_cast<size_t>(tile) * tile_columns(t), GramTiles::kKeys,
                   t.pairs, kPairStride);
    for (int64_t i = 0; i < r.count; ++i)
      totals[i] += weigh(r.weights + i * t.keys + first, count, offsets[i],
                         t.pairs + static_cast<size_t>(i) * kPairStride);
    product<true>(rows, depth, static_cast<size_t>(count), t.pairs, kPairStride,
                  t.rows + static_cast<size_t>(tile) * tile_rows(t), stride, t.sums, stride);
  }
  for (int64_t i = 0; i < r.count; ++i) {
    const float* sum = t.sums + static_cast<size_t>(i) * stride;
    for (int64_t d = 0; d < t.dim; ++d) {
      const int64_t at = i * t.dim + d;
      to[at] = sum[d] + r.ridge * p[at];
      if (r.centre != nullptr) to[at] -= totals[i] * r.centre[at];
    }
  }
}

}  // namespace
}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

HWY_EXPORT(pack);
HWY_EXPORT(apply);

namespace {

size_t tiles_of(int64_t keys) {
  return static_cast<size_t>((keys + GramTiles::kKeys - 1) / GramTiles::kKeys);
}

}  // namespace

GramTiles::GramTiles(const float* from, int64_t key_count, int64_t width)
    : keys(key_count),
      dim(width),
      scratch({{&rows, tiles_of(keys) * kKeys * attn::row_stride(dim)},
               {&columns, tiles_of(keys) * kKeys * attn::padded(dim)},
               {&p, kRows * attn::row_stride(dim)},
               {&sums, kRows * attn::row_stride(dim)},
               {&pairs, kRows * attn::row_stride(kKeys)}}) {
  HWY_DYNAMIC_DISPATCH(pack)(*this, from);
}

void apply_gram(const GramTiles& tiles, const GramRows& rows, const float* p, float* to) {
  HWY_DYNAMIC_DISPATCH(apply)(tiles, rows, p, to);
}

}  // namespace heed::kernels
#endif
