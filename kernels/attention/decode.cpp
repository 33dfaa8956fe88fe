// Attention of few queries over many keys (decoding with a cache): bound by the reading of K and V.
// Each of them is read once, in place, for all queries that share the key/value head; the keys are
// cut into splits of fixed length, one task each, and the splits' results are merged through their
// maxima and sums (flash-decoding).
#include <vector>

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

/// Calls fn(key, how many keys follow at once) for the keys in [begin, end) that the row sees.
template <class Fn>
HWY_INLINE void for_keys(const TilePlan& plan, int64_t b, const DecodeRow& row, int64_t begin,
                         int64_t end, const Fn& fn) {
  for (const TileRun& run : plan.runs(b, row.head, 0)) {
    const int64_t first = std::max(begin, run.first * kKeys);
    const int64_t last = std::min(end, run.last * kKeys);
    for (int64_t j = first; j < last; ++j) {
      if (run.mask >= 0 &&
          !((plan.mask(run.mask).bits[static_cast<size_t>(j % kKeys)] >> row.query) & 1))
        continue;
      fn(j, last - j);
    }
  }
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

template <class T>
HWY_INLINE void add_scaled(float weight, const T* v, int64_t n, float* sum) {
  const V by = hn::Set(kF, weight);
  for (int64_t d = 0; d < n; d += kLanes)
    hn::Store(hn::MulAdd(by, simd::HWY_NAMESPACE::load_f32(kF, v + d), hn::Load(kF, sum + d)), kF,
              sum + d);
}

/// Base-2 logits of one row over `count` keys from `first` on to weights; returns their sum.
float weigh(float max, int64_t count, float* logits) {
  const V top = hn::Set(kF, max);
  V sum = hn::Zero(kF);
  for (int64_t j = 0; j < count; j += kLanes) {
    const V p = exp2(hn::Sub(hn::Load(kF, logits + j), top));
    sum = hn::Add(sum, p);
    hn::Store(p, kF, logits + j);
  }
  return hn::GetLane(hn::SumOfLanes(kF, sum));
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
  std::vector<uint8_t> seen(static_cast<size_t>(end - begin), 0);  // by some row
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
    float max = -hwy::HighestValue<float>();
    for_keys(c.p.plan, b, row, begin, end, [&](int64_t key_index, int64_t left) HWY_ATTR {
      const int64_t j = key_index - begin;
      const T* key = ks.head(b, hk) + key_index * ks.row_stride;
      prefetch_row(key, ks.row_stride, e.head_dim, left);
      s[j] =
          factor * dot(query, key, e.head_dim) + slope * static_cast<float>(key_index - position);
      max = std::max(max, s[j]);
      seen[static_cast<size_t>(j)] = 1;
    });
    *to.max = max;
    *to.sum = weigh(max, kSplitKeys, s);
    std::fill_n(to.out, e.value_dim, 0.0f);
  }
  for (int64_t j = begin; j < end; ++j) {
    if (!seen[static_cast<size_t>(j - begin)]) continue;
    const T* value = vs.head(b, hk) + j * vs.row_stride;
    prefetch_row(value, vs.row_stride, e.value_dim, end - j);
    for (int64_t r = 0; r < c.rows; ++r)
      add_scaled(logits[r * kSplitKeys + j - begin], value, e.value_dim,
                 DecodePartial(c, pair, r, split).out);
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
                    const Tensor& out, const Tensor& lse) {
  const Extents& e = problem.e;
  DecodeCall call{problem, q, k, v, out, lse};
  call.rows = e.queries * e.group();
  call.splits = (e.keys + kSplitKeys - 1) / kSplitKeys;
  call.width = e.value_dim + kRowUnit;  // keeps every row aligned
  call.partial =
      Tensor::empty({e.batch * e.kv_heads, call.rows, call.splits, call.width}, DType::f32);
  HWY_DYNAMIC_DISPATCH(decode)(call);
}

}  // namespace heed::kernels::attn
#endif
