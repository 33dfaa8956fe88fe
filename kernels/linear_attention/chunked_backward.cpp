// Backward, in the chunks and with the decays of chunked_forward.cpp. With dS_c the gradient of the
// state at border c, from the last one (the caller's) down:
//   1. sums    R_c = (Q G)^T dO                           all chunks at once
//   2. states  dS_c = G_C dS_{c+1} + R_c                  a scan over chunks
//   3. rows    P = Q K^T G_i / G_j, dP = dO V^T G_i / G_j, both for j <= i        all at once
//              dQ = G (dO S_c^T) + dP K
//              dK = L (V dS_{c+1}^T) + dP^T Q
//              dV = L (K dS_{c+1}) + P^T dO
// q_i comes with G_i everywhere, and k_j with 1 / G_j. So the gradient of log G_i is q_i.dq_i -
// k_i.dk_i, and that of the decay's logarithm at t is the sum over i >= t: those of the chunk, and
// for all behind it <S_{c+1}, dS_{c+1}>, because they see a decay through that state alone. No sum
// is longer than a chunk. 4 N D Dv + 5 C N (D + Dv) / 4 multiply-adds a head.
#include "kernels/linear_attention/problem.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear_attention/chunked_backward.cpp"
#include "kernels/simd.h"
// after simd.h
#include "core/parallel.h"
#include "kernels/linear_attention/chunk-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::linear::HWY_NAMESPACE {
namespace {

struct BackwardBuffers {
  float *q, *k, *v, *dy, *dq, *dk, *dv;   // rows
  float *k_t, *v_t, *state_t, *dstate_t;  // transposed
  float *pairs, *dpairs, *decays, *log_decay;
  Scratch scratch;

  explicit BackwardBuffers(const Problem& p)
      : scratch({{&q, kChunk * row_stride(p.key_dim)},
                 {&k, kChunk * row_stride(p.key_dim)},
                 {&v, kChunk * row_stride(p.value_dim)},
                 {&dy, kChunk * row_stride(p.value_dim)},
                 {&dq, kChunk * row_stride(p.key_dim)},
                 {&dk, kChunk * row_stride(p.key_dim)},
                 {&dv, kChunk * row_stride(p.value_dim)},
                 {&k_t, padded(p.key_dim) * kChunk},
                 {&v_t, padded(p.value_dim) * kChunk},
                 {&state_t, padded(p.key_dim) * padded(p.value_dim)},
                 {&dstate_t, padded(p.key_dim) * padded(p.value_dim)},
                 {&pairs, kChunk * kPairStride},
                 {&dpairs, kChunk * kPairStride},
                 {&decays, kChunk * row_stride(p.key_dim)},
                 {&log_decay, kChunk * row_stride(p.key_dim)}}) {}
};

/// P and dP.
void pair_matrices(const Problem& p, const Chunk& c, const TokenDecays* decays,
                   const BackwardBuffers& x) {
  const size_t rows = padded(c.rows);
  const size_t key_stride = row_stride(p.key_dim), value_stride = row_stride(p.value_dim);
  transpose(x.k, key_stride, rows, padded(p.key_dim), x.k_t, kChunk);
  transpose(x.v, value_stride, rows, padded(p.value_dim), x.v_t, kChunk);
  for (int64_t row = 0; row < static_cast<int64_t>(rows); row += kUnit) {
    const int64_t end = row + kUnit;
    const auto at = static_cast<size_t>(row);
    product<false>(kUnit, static_cast<int>(end) / kLanes, static_cast<size_t>(p.key_dim),
                   {x.q + at * key_stride, key_stride, 1}, x.k_t, kChunk,
                   x.pairs + at * kPairStride, kPairStride);
    product<false>(kUnit, static_cast<int>(end) / kLanes, static_cast<size_t>(p.value_dim),
                   {x.dy + at * value_stride, value_stride, 1}, x.v_t, kChunk,
                   x.dpairs + at * kPairStride, kPairStride);
    if (decays != nullptr)
      for (auto i = static_cast<size_t>(row); i < static_cast<size_t>(end); ++i)
        decays->apply(static_cast<int64_t>(i), end, x.pairs + i * kPairStride,
                      x.dpairs + i * kPairStride);
    hide_later(row, x.pairs);
    hide_later(row, x.dpairs);
  }
}

/// Step 3 for no gate and a gate by token.
void pair_gradients(const Problem& p, const Operands& operands, const Chunk& c, const float* state,
                    const float* dstate, const BackwardBuffers& x) {
  const size_t rows = padded(c.rows), keys = padded(p.key_dim), values = padded(p.value_dim);
  const size_t key_stride = row_stride(p.key_dim), value_stride = row_stride(p.value_dim);
  const auto depth = static_cast<size_t>(p.key_dim), value_depth = static_cast<size_t>(p.value_dim);
  std::optional<TokenDecays> decays;
  if (p.gate == Gate::token) decays.emplace(p, operands, c);

  transpose(state, values, keys, values, x.state_t, keys);
  transpose(dstate, values, keys, values, x.dstate_t, keys);
  product<false>(rows, vectors(keys), value_depth, {x.dy, value_stride, 1}, x.state_t, keys, x.dq,
                 key_stride);
  product<false>(rows, vectors(keys), value_depth, {x.v, value_stride, 1}, x.dstate_t, keys, x.dk,
                 key_stride);
  product<false>(rows, vectors(values), depth, {x.k, key_stride, 1}, dstate, values, x.dv,
                 value_stride);
  if (decays) {
    scale_rows(rows, keys, key_stride, decays->from_start, x.dq);
    scale_rows(rows, keys, key_stride, decays->to_end, x.dk);
    scale_rows(rows, values, value_stride, decays->to_end, x.dv);
  }
  pair_matrices(p, c, decays ? &*decays : nullptr, x);
  for (size_t row = 0; row < rows; row += kUnit) {
    const auto end = std::min(row + kUnit, static_cast<size_t>(c.rows));
    const size_t later = static_cast<size_t>(c.rows) - row;
    product<true>(kUnit, vectors(keys), end, {x.dpairs + row * kPairStride, kPairStride, 1}, x.k,
                  key_stride, x.dq + row * key_stride, key_stride);
    transposed_product<true>(kUnit, keys, later, x.dpairs + row * kPairStride + row, kPairStride,
                             x.q + row * key_stride, key_stride, x.dk + row * key_stride,
                             key_stride);
    transposed_product<true>(kUnit, values, later, x.pairs + row * kPairStride + row, kPairStride,
                             x.dy + row * value_stride, value_stride, x.dv + row * value_stride,
                             value_stride);
  }
}

/// What recur's passes share: sizes and rows.
struct Recurrence {
  size_t rows, value_depth, key_stride, value_stride, width;  // width of S^T's rows
};

/// Forwards over kWidth vectors of the keys, on S^T: S^T = S^T a + v k^T, dq = do^T S^T.
template <int kWidth>
void recur_queries(const Recurrence& r, size_t at, const BackwardBuffers& x) {
  for (size_t t = 0; t < r.rows; ++t) {
    V a[kWidth], key[kWidth], sum[kWidth];
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w) {
      const size_t column = t * r.key_stride + at + static_cast<size_t>(w * kLanes);
      a[w] = hn::Load(kF, x.decays + column);
      key[w] = hn::Load(kF, x.k + column);
      sum[w] = hn::Zero(kF);
    }
    const float *v = x.v + t * r.value_stride, *dy = x.dy + t * r.value_stride;
    float* s = x.state_t + at;
    for (size_t e = 0; e < r.value_depth; ++e, s += r.width) {
      const V value = hn::Set(kF, v[e]), gradient = hn::Set(kF, dy[e]);
#pragma GCC unroll 4
      for (int w = 0; w < kWidth; ++w) {
        const V next = hn::MulAdd(a[w], hn::Load(kF, s + w * kLanes), hn::Mul(key[w], value));
        hn::Store(next, kF, s + w * kLanes);
        sum[w] = hn::MulAdd(gradient, next, sum[w]);
      }
    }
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w)
      hn::Store(sum[w], kF, x.dq + t * r.key_stride + at + static_cast<size_t>(w * kLanes));
  }
}

/// Backwards: dS^T += do q^T, dk = v^T dS^T, dv += dS^T k, dS^T = dS^T a.
template <int kWidth>
void recur_keys(const Recurrence& r, size_t at, const BackwardBuffers& x) {
  for (size_t t = r.rows; t-- > 0;) {
    V a[kWidth], key[kWidth], query[kWidth], sum[kWidth];
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w) {
      const size_t column = t * r.key_stride + at + static_cast<size_t>(w * kLanes);
      a[w] = hn::Load(kF, x.decays + column);
      key[w] = hn::Load(kF, x.k + column);
      query[w] = hn::Load(kF, x.q + column);
      sum[w] = hn::Zero(kF);
    }
    const float *v = x.v + t * r.value_stride, *dy = x.dy + t * r.value_stride;
    float *s = x.dstate_t + at, *dv = x.dv + t * r.value_stride;
    for (size_t e = 0; e < r.value_depth; ++e, s += r.width) {
      const V value = hn::Set(kF, v[e]), gradient = hn::Set(kF, dy[e]);
      V of_value = hn::Zero(kF);
#pragma GCC unroll 4
      for (int w = 0; w < kWidth; ++w) {
        const V g = hn::MulAdd(gradient, query[w], hn::Load(kF, s + w * kLanes));
        sum[w] = hn::MulAdd(value, g, sum[w]);
        of_value = hn::MulAdd(g, key[w], of_value);
        hn::Store(hn::Mul(g, a[w]), kF, s + w * kLanes);
      }
      dv[e] += hn::GetLane(hn::SumOfLanes(kF, of_value));
    }
#pragma GCC unroll 4
    for (int w = 0; w < kWidth; ++w)
      hn::Store(sum[w], kF, x.dk + t * r.key_stride + at + static_cast<size_t>(w * kLanes));
  }
}

/// Step 3 for a gate by channel.
void recurrent_gradients(const Problem& p, const Operands& operands, const Chunk& c,
                         const float* state, const float* dstate, const BackwardBuffers& x) {
  const size_t keys = padded(p.key_dim), values = padded(p.value_dim);
  const Recurrence r{static_cast<size_t>(c.rows), static_cast<size_t>(p.value_dim),
                     row_stride(p.key_dim), row_stride(p.value_dim), keys};
  load_channel_decays(p, operands, c, x.decays);
  transpose(state, values, keys, values, x.state_t, keys);
  transpose(dstate, values, keys, values, x.dstate_t, keys);
  std::fill_n(x.dv, r.rows * r.value_stride, 0.0f);
  size_t at = 0;
  for (; at + static_cast<size_t>(4 * kLanes) <= keys; at += static_cast<size_t>(4 * kLanes)) {
    recur_queries<4>(r, at, x);
    recur_keys<4>(r, at, x);
  }
  for (; at < keys; at += static_cast<size_t>(kLanes)) {
    recur_queries<1>(r, at, x);
    recur_keys<1>(r, at, x);
  }
}

/// <S, dS> row by row (in each lane of out's row d: its own sum).
inline float state_dot(size_t width, const float* a, const float* b) {
  V sum = hn::Zero(kF);
  for (size_t d = 0; d < width; d += static_cast<size_t>(kLanes))
    sum = hn::MulAdd(hn::Load(kF, a + d), hn::Load(kF, b + d), sum);
  return hn::GetLane(hn::SumOfLanes(kF, sum));
}

/// q dq - k dk of each row and channel, summed from the end of the chunk, and what lies behind it.
void decay_gradients(const Problem& p, const Chunk& c, const float* state_behind,
                     const float* dstate_behind, const BackwardBuffers& x, float* to) {
  const size_t stride = row_stride(p.key_dim), width = padded(p.value_dim);
  const auto depth = static_cast<size_t>(p.key_dim);
  const bool token = p.gate == Gate::token;
  double sums = 0.0;
  for (size_t d = 0; d < depth; ++d) {
    const float behind = state_dot(width, state_behind + d * width, dstate_behind + d * width);
    x.log_decay[d] = behind;
    sums += static_cast<double>(behind);
  }
  to += ((c.b * p.heads + c.h) * p.tokens + c.first) * (token ? 1 : p.key_dim);
  for (auto t = static_cast<size_t>(c.rows); t-- > 0;) {
    const float *q = x.q + t * stride, *k = x.k + t * stride, *dq = x.dq + t * stride,
                *dk = x.dk + t * stride;
    if (token) {
      const size_t keys = padded(p.key_dim);
      sums += static_cast<double>(state_dot(keys, q, dq) - state_dot(keys, k, dk));
      to[t] = static_cast<float>(sums);
      continue;
    }
    for (size_t d = 0; d < depth; ++d) {
      x.log_decay[d] += q[d] * dq[d] - k[d] * dk[d];
      to[t * depth + d] = x.log_decay[d];
    }
  }
}

template <class T>
void backward_of(const Problem& p, const Operands& operands, const Tensor& dout,
                 const States& states, const States& dstates, const Gradients& grads) {
  const Rows<const T> q(operands.q), k(operands.k), v(operands.v), dy(dout);
  const Rows<T> dq(grads.dq), dk(grads.dk), dv(grads.dv);
  float* decays;
  const Scratch scratch(
      {{&decays, static_cast<size_t>(p.sequences() * p.chunks()) * padded(p.key_dim)}});
  all_chunk_sums(p, operands, q, dy, true, dstates, decays);
  scan_states(p, decays, true, dstates);
  parallel_for(p.sequences() * p.chunks(), kTasksGrain, [&](int64_t begin, int64_t end) {
    const BackwardBuffers x(p);
    for (int64_t task = begin; task < end; ++task) {
      const Chunk c(p, task);
      const int64_t sequence = task / p.chunks();
      const float *state = states.at<float>(sequence, c.index),
                  *dstate = dstates.at<float>(sequence, c.index + 1);
      load_chunk(q, c, p.key_dim, x.q);
      load_chunk(k, c, p.key_dim, x.k);
      load_chunk(v, c, p.value_dim, x.v);
      load_chunk(dy, c, p.value_dim, x.dy);
      if (p.gate == Gate::channel) {
        recurrent_gradients(p, operands, c, state, dstate, x);
      } else {
        pair_gradients(p, operands, c, state, dstate, x);
      }
      if (p.gate != Gate::none)
        decay_gradients(p, c, states.at<float>(sequence, c.index + 1), dstate, x,
                        grads.dlog_decay.data<float>());
      store_chunk(x.dq, c, p.key_dim, dq);
      store_chunk(x.dk, c, p.key_dim, dk);
      store_chunk(x.dv, c, p.value_dim, dv);
    }
  });
}

void backward(const Problem& p, const Operands& operands, const Tensor& dout, const States& states,
              const States& dstates, const Gradients& grads) {
  if (dout.dtype() == DType::bf16)
    backward_of<bfloat16>(p, operands, dout, states, dstates, grads);
  else
    backward_of<float>(p, operands, dout, states, dstates, grads);
}

}  // namespace
}  // namespace heed::kernels::linear::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels::linear {

HWY_EXPORT(backward);

void chunked_backward(const Problem& p, const Operands& x, const Tensor& dout, const States& states,
                      const States& dstates, const Gradients& grads) {
  HWY_DYNAMIC_DISPATCH(backward)(p, x, dout, states, dstates, grads);
}

}  // namespace heed::kernels::linear
#endif
