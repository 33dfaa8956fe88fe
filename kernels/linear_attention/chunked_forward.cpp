// Forward in chunks of C = 64 tokens. With G_i the product of the decays of a chunk's tokens up to
// and with i, L_j of those behind j, and G_i / G_j of those in between (each computed by itself,
// never as a quotient):
//   1. sums     U_c = (K L)^T V                                          all chunks at once
//   2. states   S_{c+1} = G_C S_c + U_c                                  a scan over chunks
//   3. results  O = G (Q S_c) + (Q K^T G_i / G_j, j <= i) V              all chunks at once
// 2 N D Dv + C N (D + Dv) / 2 multiply-adds a head; q, k, v are read twice, out written once, and
// N / C states written and read twice. A gate by channel has no such matrix of pairs: its third
// step is the recurrence itself, on a state in the first-level cache.
#include "kernels/linear_attention/problem.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear_attention/chunked_forward.cpp"
#include "kernels/simd.h"
// after simd.h
#include "core/parallel.h"
#include "kernels/linear_attention/chunk-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::linear::HWY_NAMESPACE {
namespace {

struct ForwardBuffers {
  float *q, *k, *v, *out, *k_t, *pairs, *decays, *state;
  Scratch scratch;

  explicit ForwardBuffers(const Problem& p)
      : scratch({{&q, kChunk * row_stride(p.key_dim)},
                 {&k, kChunk * row_stride(p.key_dim)},
                 {&v, kChunk * row_stride(p.value_dim)},
                 {&out, kChunk * row_stride(p.value_dim)},
                 {&k_t, padded(p.key_dim) * kChunk},
                 {&pairs, kChunk * kPairStride},
                 {&decays, kChunk * row_stride(p.key_dim)},
                 {&state, padded(p.key_dim) * padded(p.value_dim)}}) {}
};

/// Step 3 for no gate and a gate by token.
void pair_results(const Problem& p, const Operands& operands, const Chunk& c, const float* state,
                  const ForwardBuffers& x) {
  const size_t rows = padded(c.rows), keys = padded(p.key_dim), values = padded(p.value_dim);
  const size_t key_stride = row_stride(p.key_dim), value_stride = row_stride(p.value_dim);
  const bool gated = p.gate == Gate::token;
  const auto depth = static_cast<size_t>(p.key_dim);
  transpose(x.k, key_stride, rows, keys, x.k_t, kChunk);
  if (c.index > 0 || p.initial) {
    product<false>(rows, vectors(values), depth, {x.q, key_stride, 1}, state, values, x.out,
                   value_stride);
  } else {
    std::fill_n(x.out, rows * value_stride, 0.0f);
  }
  std::optional<TokenDecays> decays;
  if (gated) decays.emplace(p, operands, c);
  if (gated) scale_rows(rows, values, value_stride, decays->from_start, x.out);
  for (int64_t row = 0; row < static_cast<int64_t>(rows); row += kUnit) {
    const int64_t end = row + kUnit;
    float* pairs = x.pairs + static_cast<size_t>(row) * kPairStride;
    product<false>(kUnit, static_cast<int>(end) / kLanes, depth,
                   {x.q + static_cast<size_t>(row) * key_stride, key_stride, 1}, x.k_t, kChunk,
                   pairs, kPairStride);
    if (gated)
      for (int64_t i = row; i < end; ++i)
        decays->apply(i, end, x.pairs + static_cast<size_t>(i) * kPairStride, nullptr);
    hide_later(row, x.pairs);
    product<true>(kUnit, vectors(values), static_cast<size_t>(std::min(end, c.rows)),
                  {pairs, kPairStride, 1}, x.v, value_stride,
                  x.out + static_cast<size_t>(row) * value_stride, value_stride);
  }
}

/// kWidth vectors of the values, token by token: S = a S + k v^T, out = q S.
template <int kWidth>
void recur(size_t rows, size_t depth, size_t key_stride, size_t value_stride, size_t width,
           const float* HWY_RESTRICT decays, const float* HWY_RESTRICT q,
           const float* HWY_RESTRICT k, const float* HWY_RESTRICT v, float* HWY_RESTRICT state,
           float* HWY_RESTRICT out) {
  for (size_t t = 0; t < rows; ++t) {
    V value[kWidth], sum[kWidth];
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w) {
      value[w] = hn::Load(kF, v + t * value_stride + static_cast<size_t>(w * kLanes));
      sum[w] = hn::Zero(kF);
    }
    const float *a_row = decays + t * key_stride, *q_row = q + t * key_stride,
                *k_row = k + t * key_stride;
    float* s = state;
    for (size_t d = 0; d < depth; ++d, s += width) {
      const V a = hn::Set(kF, a_row[d]), key = hn::Set(kF, k_row[d]), query = hn::Set(kF, q_row[d]);
#pragma GCC unroll 4
      for (int w = 0; w < kWidth; ++w) {
        const V next = hn::MulAdd(a, hn::Load(kF, s + w * kLanes), hn::Mul(key, value[w]));
        hn::Store(next, kF, s + w * kLanes);
        sum[w] = hn::MulAdd(query, next, sum[w]);
      }
    }
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w)
      hn::Store(sum[w], kF, out + t * value_stride + static_cast<size_t>(w * kLanes));
  }
}

/// Step 3 for a gate by channel.
void recurrent_results(const Problem& p, const Operands& operands, const Chunk& c,
                       const float* state, const ForwardBuffers& x) {
  const size_t key_stride = row_stride(p.key_dim), value_stride = row_stride(p.value_dim);
  const size_t width = padded(p.value_dim);
  const auto rows = static_cast<size_t>(c.rows), depth = static_cast<size_t>(p.key_dim);
  load_channel_decays(p, operands, c, x.decays);
  std::copy_n(state, padded(p.key_dim) * width, x.state);
  const auto panel = [&](auto size, size_t at) {
    recur<size()>(rows, depth, key_stride, value_stride, width, x.decays, x.q, x.k, x.v + at,
                  x.state + at, x.out + at);
  };
  size_t at = 0;
  for (; at + static_cast<size_t>(4 * kLanes) <= width; at += static_cast<size_t>(4 * kLanes))
    panel(std::integral_constant<int, 4>(), at);
  for (; at < width; at += static_cast<size_t>(kLanes)) panel(std::integral_constant<int, 1>(), at);
}

template <class T>
void forward_of(const Problem& p, const Operands& operands, const States& states,
                const Tensor& out) {
  const Rows<const T> q(operands.q), k(operands.k), v(operands.v);
  const Rows<T> y(out);
  float* decays;
  const Scratch scratch(
      {{&decays, static_cast<size_t>(p.sequences() * p.chunks()) * padded(p.key_dim)}});
  all_chunk_sums(p, operands, k, v, false, states, decays);
  scan_states(p, decays, false, states);
  parallel_for(p.sequences() * p.chunks(), kTasksGrain, [&](int64_t begin, int64_t end) {
    const ForwardBuffers x(p);
    for (int64_t task = begin; task < end; ++task) {
      const Chunk c(p, task);
      const float* state = states.at<float>(task / p.chunks(), c.index);
      load_chunk(q, c, p.key_dim, x.q);
      load_chunk(k, c, p.key_dim, x.k);
      load_chunk(v, c, p.value_dim, x.v);
      if (p.gate == Gate::channel) {
        recurrent_results(p, operands, c, state, x);
      } else {
        pair_results(p, operands, c, state, x);
      }
      store_chunk(x.out, c, p.value_dim, y);
    }
  });
}

void forward(const Problem& p, const Operands& operands, const States& states, const Tensor& out) {
  if (out.dtype() == DType::bf16)
    forward_of<bfloat16>(p, operands, states, out);
  else
    forward_of<float>(p, operands, states, out);
}

}  // namespace
}  // namespace heed::kernels::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels::linear {

HWY_EXPORT(forward);

void chunked_forward(const Problem& p, const Operands& x, const States& states, const Tensor& out) {
  HWY_DYNAMIC_DISPATCH(forward)(p, x, states, out);
}

}  // namespace heed::kernels::linear
#endif
