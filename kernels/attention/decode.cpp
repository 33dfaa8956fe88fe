// Attention of few queries over many keys (decoding with a cache): bound by the reading of K and V.
// Each of them is read once, in place, for all queries that share the key/value head; the keys are
// cut into splits of fixed length, one task each, and the splits' results are merged through their
// maxima and sums (flash-decoding).
#include <array>

#include "kernels/attention/fused.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/decode.cpp"
#include "kernels/simd.h"
// after simd.h
#include "core/parallel.h"
#include "kernels/attention/micro-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {
namespace {

/// Query `row` of a (batch, key/value head): one head's one position.
struct DecodeRow {
  int64_t head, query;
  DecodeRow(const Extents& e, int64_t kv_head, int64_t row)
      : head(kv_head * e.group() + row / e.queries), query(row % e.queries) {}
};

/// Calls fn(first, end) for stretches of keys in [begin, end) that the row sees.
template <class Fn>
void for_stretches(const TilePlan& plan, int64_t b, const DecodeRow& row, int64_t begin,
                   int64_t end, const Fn& fn) {
  for (const TileRun& run : plan.runs(b, row.head, 0)) {
    const int64_t last = std::min(end, run.last * kKeys);
    int64_t first = std::max(begin, run.first * kKeys);
    const auto seen = [&](int64_t j) {
      return run.mask < 0 ||
             ((plan.mask(run.mask).bits[static_cast<size_t>(j % kKeys)] >> row.query) & 1) != 0;
    };
    while (first < last) {
      int64_t stop = run.mask < 0 ? last : first;
      while (stop < last && seen(stop)) ++stop;
      if (stop > first) fn(first, stop);
      first = stop + 1;
    }
  }
}

/// The row of token j of a key/value head.
template <class T>
HWY_INLINE const T* token_row(const DecodeCall& c, const Rows<const T>& rows, int64_t b, int64_t hk,
                              int64_t j) {
  if (c.table.pages == nullptr) return rows.head(b, hk) + j * rows.row_stride;
  const int64_t page = c.table.pages[b * c.table.row + j / c.table.page];
  return rows.head(page, hk) + j % c.table.page * rows.row_stride;
}

/// The token behind the last of those that lie in a row with token j.
int64_t page_end(const DecodeCall& c, int64_t j) {
  return c.table.pages == nullptr ? c.p.e.keys : (j / c.table.page + 1) * c.table.page;
}

/// What a split keeps of a row: values weighted relative to the maximum, the maximum (base 2), the
/// sum of the weights.
struct DecodePartial {
  float *out, *max, *sum;
  DecodePartial(const DecodeCall& c, int64_t pair, int64_t row, int64_t split) {
    float* at = c.partial.data<float>() + ((pair * c.rows + row) * c.splits + split) * c.width;
    out = at;
    max = at + c.p.e.value_dim;
    sum = max + 1;
  }
};

/// Asks for the row that is read kAhead rows later: rows of one head may lie far apart.
template <class T>
HWY_INLINE void prefetch_row(const T* row, int64_t stride, int64_t n, int64_t left) {
  constexpr int64_t kAhead = 16, kLine = 64 / static_cast<int64_t>(sizeof(T));
  if (left <= kAhead) return;
  for (int64_t d = 0; d < n; d += kLine) hwy::Prefetch(row + kAhead * stride + d);
}

template <class T>
HWY_INLINE float dot(const float* q, const T* k, int64_t n) {
  V even = hn::Zero(kF), odd = even;
  int64_t d = 0;
  for (; d + 2 * kLanes <= n; d += 2 * kLanes) {
    even = hn::MulAdd(hn::Load(kF, q + d), simd::HWY_NAMESPACE::load_f32(kF, k + d), even);
    odd = hn::MulAdd(hn::Load(kF, q + d + kLanes),
                     simd::HWY_NAMESPACE::load_f32(kF, k + d + kLanes), odd);
  }
  for (; d < n; d += kLanes)
    even = hn::MulAdd(hn::Load(kF, q + d), simd::HWY_NAMESPACE::load_f32(kF, k + d), even);
  return hn::GetLane(hn::SumOfLanes(kF, hn::Add(even, odd)));
}

/// Lane sums of four vectors.
HWY_INLINE void sums_of_lanes(V a, V b, V c, V d, float* sums) {
  const hn::RepartitionToWide<F> wide;
  const hn::Full128<float> d4;
  // Each block of 4 lanes: a, b, a, b; then a, b, c, d.
  const V ab = hn::Add(hn::InterleaveLower(kF, a, b), hn::InterleaveUpper(kF, a, b));
  const V cd = hn::Add(hn::InterleaveLower(kF, c, d), hn::InterleaveUpper(kF, c, d));
  const auto first = hn::BitCast(wide, ab), second = hn::BitCast(wide, cd);
  const V all = hn::Add(hn::BitCast(kF, hn::InterleaveLower(wide, first, second)),
                        hn::BitCast(kF, hn::InterleaveUpper(wide, first, second)));
  HWY_ALIGN float blocks[kLanes];
  hn::Store(all, kF, blocks);
  auto sum = hn::Load(d4, blocks);
  for (int at = 4; at < kLanes; at += 4) sum = hn::Add(sum, hn::Load(d4, blocks + at));
  hn::StoreU(sum, d4, sums);
}

/// Products of q with four rows of keys.
template <class T>
HWY_INLINE void four_dots(const float* q, const T* k, int64_t stride, int64_t n, float* dots) {
  V a = hn::Zero(kF), b = a, c = a, d = a;
  for (int64_t i = 0; i < n; i += kLanes) {
    const V x = hn::Load(kF, q + i);
    a = hn::MulAdd(x, simd::HWY_NAMESPACE::load_f32(kF, k + i), a);
    b = hn::MulAdd(x, simd::HWY_NAMESPACE::load_f32(kF, k + stride + i), b);
    c = hn::MulAdd(x, simd::HWY_NAMESPACE::load_f32(kF, k + 2 * stride + i), c);
    d = hn::MulAdd(x, simd::HWY_NAMESPACE::load_f32(kF, k + 3 * stride + i), d);
  }
  sums_of_lanes(a, b, c, d, dots);
}

/// Products of q with `keys` rows of keys.
template <class T>
void row_dots(const float* q, const T* k, int64_t stride, int64_t keys, int64_t n, float* dots) {
  int64_t j = 0;
  for (; j + 4 <= keys; j += 4, k += 4 * stride) {
    for (int64_t i = 0; i < 4; ++i) prefetch_row(k + i * stride, stride, n, keys - j - i);
    four_dots(q, k, stride, n, dots + j);
  }
  for (; j < keys; ++j, k += stride) dots[j] = dot(q, k, n);
}

/// kWidth vectors of sum += weights V: they stay in registers over all `keys` rows.
template <int kWidth, class T>
HWY_INLINE void add_rows(const float* weights, const T* v, int64_t stride, int64_t keys,
                         float* sum) {
  V sums[kWidth];
#pragma GCC unroll 4
  for (int w = 0; w < kWidth; ++w) sums[w] = hn::Load(kF, sum + w * kLanes);
  for (int64_t j = 0; j < keys; ++j, v += stride) {
    const V by = hn::Set(kF, weights[j]);
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w)
      sums[w] = hn::MulAdd(by, simd::HWY_NAMESPACE::load_f32(kF, v + w * kLanes), sums[w]);
  }
#pragma GCC unroll 4
  for (int w = 0; w < kWidth; ++w) hn::Store(sums[w], kF, sum + w * kLanes);
}

/// sum += weights V, n features.
template <class T>
void add_scaled(const float* weights, const T* v, int64_t stride, int64_t keys, int64_t n,
                float* sum) {
  int64_t d = 0;
  for (; d + 4 * kLanes <= n; d += 4 * kLanes) add_rows<4>(weights, v + d, stride, keys, sum + d);
  for (; d < n; d += kLanes) add_rows<1>(weights, v + d, stride, keys, sum + d);
}

/// Base-2 logits of one row over `count` keys to weights relative to their maximum.
void weigh(int64_t count, float* logits, float* max, float* sum) {
  V top = hn::Set(kF, -hwy::HighestValue<float>());
  for (int64_t j = 0; j < count; j += kLanes) top = hn::Max(top, hn::Load(kF, logits + j));
  top = hn::MaxOfLanes(kF, top);
  V total = hn::Zero(kF);
  for (int64_t j = 0; j < count; j += kLanes) {
    const V p = exp2(hn::Sub(hn::Load(kF, logits + j), top));
    total = hn::Add(total, p);
    hn::Store(p, kF, logits + j);
  }
  *max = hn::GetLane(top);
  *sum = hn::GetLane(hn::SumOfLanes(kF, total));
}

/// One split of one (batch, key/value head), all its rows.
template <class T>
void decode_split(const DecodeCall& c, int64_t pair, int64_t split) {
  const Extents& e = c.p.e;
  const int64_t b = pair / e.kv_heads, hk = pair % e.kv_heads;
  const Rows<const T> qs(c.q), ks(c.k), vs(c.v);
  const int64_t begin = split * kSplitKeys, end = std::min(e.keys, begin + kSplitKeys);
  float *query, *logits;
  const Scratch scratch(
      {{&query, padded(e.head_dim)}, {&logits, static_cast<size_t>(c.rows * kSplitKeys)}});
  std::array<uint8_t, kSplitKeys> seen{};  // by some row
  for (int64_t r = 0; r < c.rows; ++r) {
    const DecodeRow row(e, hk, r);
    const HeadScore score(c.p.spec.score, e, row.head);
    const auto factor = static_cast<float>(score.scale * 1.4426950408889634);
    const auto slope = static_cast<float>(score.slope * 1.4426950408889634);
    pack_rows(qs.head(b, row.head) + row.query * qs.row_stride, 0, 1,
              static_cast<size_t>(e.head_dim), query, padded(e.head_dim), 1);
    const DecodePartial to(c, pair, r, split);
    float* s = logits + r * kSplitKeys;
    std::fill_n(s, kSplitKeys, -std::numeric_limits<float>::infinity());
    const int64_t position = row.query + c.p.offset();
    for_stretches(c.p.plan, b, row, begin, end, [&](int64_t first, int64_t last) HWY_ATTR {
      for (int64_t j = first, stop; j < last; j = stop) {
        stop = std::min(last, page_end(c, j));
        row_dots(query, token_row(c, ks, b, hk, j), ks.row_stride, stop - j, e.head_dim,
                 s + j - begin);
      }
      for (int64_t j = first; j < last; ++j) {
        float& logit = s[j - begin];
        logit = factor * logit + slope * static_cast<float>(j - position);
      }
      std::fill_n(seen.begin() + (first - begin), last - first, uint8_t{1});
    });
    weigh(kSplitKeys, s, to.max, to.sum);
    std::fill_n(to.out, e.value_dim, 0.0f);
  }
  constexpr int64_t kAtOnce = 16;  // keys whose values wait in the cache for all rows
  for (int64_t j = begin, count; j < end; j += count) {
    count = std::min({kAtOnce, end - j, page_end(c, j) - j});
    const T* value = token_row(c, vs, b, hk, j);
    for (int64_t i = 0; i < count; ++i)
      prefetch_row(value + i * vs.row_stride, vs.row_stride, e.value_dim,
                   std::min(end, page_end(c, j)) - j - i);
    const uint8_t* sees = seen.data() + (j - begin);
    const bool all = std::find(sees, sees + count, uint8_t{0}) == sees + count;
    for (int64_t r = 0; r < c.rows; ++r) {
      const float* weights = logits + r * kSplitKeys + j - begin;
      float* out = DecodePartial(c, pair, r, split).out;
      if (all) {
        add_scaled(weights, value, vs.row_stride, count, e.value_dim, out);
        continue;
      }
      for (int64_t i = 0; i < count; ++i) {  // values that nothing sees may be anything
        if (sees[i])
          add_scaled(weights + i, value + i * vs.row_stride, vs.row_stride, 1, e.value_dim, out);
      }
    }
  }
}

/// The splits of one row, in order, to out and lse.
template <class T>
void merge_splits(const DecodeCall& c, int64_t pair, int64_t r) {
  const Extents& e = c.p.e;
  const int64_t b = pair / e.kv_heads;
  const DecodeRow row(e, pair % e.kv_heads, r);
  float max = -hwy::HighestValue<float>();
  for (int64_t s = 0; s < c.splits; ++s) max = std::max(max, *DecodePartial(c, pair, r, s).max);
  const DecodePartial first(c, pair, r, 0);
  float sum = 0.0f;
  for (int64_t s = 0; s < c.splits; ++s) {
    const DecodePartial part(c, pair, r, s);
    const float weight = std::exp2(*part.max - max);
    sum += weight * *part.sum;
    for (int64_t d = 0; d < e.value_dim; ++d)
      first.out[d] = weight * part.out[d] + (s == 0 ? 0.0f : first.out[d]);
  }
  const Rows<T> outs(c.out);
  unpack_rows(first.out, 0, 1, static_cast<size_t>(e.value_dim), sum > 0.0f ? 1.0f / sum : 0.0f,
              outs.head(b, row.head) + row.query * outs.row_stride, 0);
  c.lse.data<float>()[(b * e.heads + row.head) * e.queries + row.query] =
      sum > 0.0f ? max * 0.693147181f + std::log(sum) : -std::numeric_limits<float>::infinity();
}

template <class T>
void decode_as(const DecodeCall& c) {
  const int64_t pairs = c.p.e.batch * c.p.e.kv_heads;
  parallel_for(pairs * c.splits, 1, [&](int64_t task, int64_t) {
    decode_split<T>(c, task / c.splits, task % c.splits);
  });
  parallel_for(pairs * c.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) merge_splits<T>(c, i / c.rows, i % c.rows);
  });
}

void decode(const DecodeCall& call) {
  if (call.q.dtype() == DType::bf16)
    decode_as<bfloat16>(call);
  else
    decode_as<float>(call);
}

}  // namespace
}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels::attn {

HWY_EXPORT(decode);

bool suits_decode(const Problem& p) {
  const Extents& e = p.e;
  return e.queries * e.group() <= 16 && e.queries <= 4 && e.keys >= 4 * kRowUnit &&
         e.head_dim % kRowUnit == 0 && e.value_dim % kRowUnit == 0 && p.spec.dropout == 0.0 &&
         p.plan.query_order() == nullptr && p.plan.key_order() == nullptr &&
         !p.has_virtual_keys() && !p.tensors.sink.defined() && !p.terms<float>().any();
}

void decode_forward(const Problem& problem, const Tensor& q, const Tensor& k, const Tensor& v,
                    const Tensor& out, const Tensor& lse, const PageTable& table) {
  const Extents& e = problem.e;
  DecodeCall call{problem, q, k, v, out, lse};
  call.table = table;
  call.rows = e.queries * e.group();
  call.splits = (e.keys + kSplitKeys - 1) / kSplitKeys;
  call.width = e.value_dim + kRowUnit;  // keeps every row aligned
  call.partial =
      Tensor::empty({e.batch * e.kv_heads, call.rows, call.splits, call.width}, DType::f32);
  HWY_DYNAMIC_DISPATCH(decode)(call);
}

}  // namespace heed::kernels::attn
#endif
