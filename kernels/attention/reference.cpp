// Row i of head (b, h), with the keys j that it sees:
//   s_j = scale q_i.k_j - slope (i + offset - j)     lse = log sum_j exp(s_j)
//   p_j = exp(s_j - lse)                             o   = sum_j m_j p_j v_j     (m: dropout)
// and backwards, from the row's do and dlse:
//   delta = do.o - dlse      ds_j = p_j (m_j do.v_j - delta)
//   dq = scale sum_j ds_j k_j      dk_j += scale ds_j q      dv_j += m_j p_j do
// One row of scores at a time is kept: O(M) memory a thread.
#include "kernels/attention/reference.h"

#include <vector>

#include "core/parallel.h"

namespace heed::kernels::attn {
namespace {

template <class A, class T>
A dot(const T* a, const T* b, int64_t n) {
  A sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<A>(a[i]) * static_cast<A>(b[i]);
  return sum;
}

/// One query row's logits over the keys it sees.
template <class A, class T>
void row_logits(const Problem& p, const HeadScore& score, int64_t i, const T* q, const T* k,
                int64_t k_stride, A* s) {
  const int64_t end = p.plan.key_end(i);
  for (int64_t j = 0; j < end; ++j) {
    const auto distance = static_cast<double>(i + p.plan.offset() - j);
    s[j] = static_cast<A>(score.scale) * dot<A>(q, k + j * k_stride, p.e.head_dim) -
           static_cast<A>(score.slope * distance);
  }
}

template <class A>
A dropout_factor(const Problem& p, const DropoutMask& mask, int64_t i, int64_t j) {
  if (p.spec.dropout == 0.0) return A{1};
  return mask.keeps(i, j) ? static_cast<A>(mask.keep_scale()) : A{0};
}

template <class T>
void forward(const Problem& p, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
             const Tensor& lse) {
  using A = accumulate_t<T>;
  const Extents& e = p.e;
  const Rows<const T> qs(q), ks(k), vs(v);
  const Rows<T> outs(out);
  parallel_for(e.batch * e.heads * e.queries, 16, [&](int64_t begin, int64_t end) {
    std::vector<A> s(static_cast<size_t>(e.keys)), o(static_cast<size_t>(e.value_dim));
    for (int64_t row = begin; row < end; ++row) {
      const int64_t i = row % e.queries, bh = row / e.queries;
      const int64_t b = bh / e.heads, h = bh % e.heads, hk = h / e.group();
      const HeadScore score(p.spec.score, e, h);
      const DropoutMask mask(p.spec, b, h);
      const int64_t count = p.plan.key_end(i);
      row_logits<A>(p, score, i, qs.head(b, h) + i * qs.row_stride, ks.head(b, hk), ks.row_stride,
                    s.data());
      A max = -std::numeric_limits<A>::infinity(), sum = 0;
      for (int64_t j = 0; j < count; ++j) max = std::max(max, s[static_cast<size_t>(j)]);
      std::fill(o.begin(), o.end(), A{0});
      for (int64_t j = 0; j < count; ++j) {
        const A w = std::exp(s[static_cast<size_t>(j)] - max);
        sum += w;
        const A wm = w * dropout_factor<A>(p, mask, i, j);
        const T* value = vs.head(b, hk) + j * vs.row_stride;
        for (int64_t d = 0; d < e.value_dim; ++d)
          o[static_cast<size_t>(d)] += wm * static_cast<A>(value[d]);
      }
      T* to = outs.head(b, h) + i * outs.row_stride;
      for (int64_t d = 0; d < e.value_dim; ++d)
        to[d] = static_cast<T>(count == 0 ? A{0} : o[static_cast<size_t>(d)] / sum);
      lse.data<A>()[row] = count == 0 ? max : max + std::log(sum);
    }
  });
}

template <class T>
void backward(const Problem& p, const Tensor& dout, const Tensor& dlse, const Tensor& q,
              const Tensor& k, const Tensor& v, const AttentionOutput& fwd,
              const AttentionGradients& grads) {
  using A = accumulate_t<T>;
  const Extents& e = p.e;
  const Rows<const T> qs(q), ks(k), vs(v), outs(fwd.out), douts(dout);
  const bool want_q = grads.dq.defined(), want_kv = grads.dk.defined();
  const auto D = static_cast<size_t>(e.head_dim), Dv = static_cast<size_t>(e.value_dim);
  parallel_for(e.batch * e.kv_heads, 1, [&](int64_t first, int64_t) {
    const int64_t b = first / e.kv_heads, hk = first % e.kv_heads;
    const T *key = ks.head(b, hk), *value = vs.head(b, hk);
    const auto M = static_cast<size_t>(e.keys);
    std::vector<A> s(M), dk(M * D), dv(M * Dv), dq(D);
    for (int64_t h = hk * e.group(); h < (hk + 1) * e.group(); ++h) {
      const HeadScore score(p.spec.score, e, h);
      const DropoutMask mask(p.spec, b, h);
      const A scale = static_cast<A>(score.scale);
      for (int64_t i = 0; i < e.queries; ++i) {
        const int64_t row = (b * e.heads + h) * e.queries + i;
        const T* query = qs.head(b, h) + i * qs.row_stride;
        const T* go = douts.head(b, h) + i * douts.row_stride;
        const A lse = fwd.lse.data<A>()[row];
        const A delta = dot<A>(go, outs.head(b, h) + i * outs.row_stride, e.value_dim) -
                        (dlse.defined() ? dlse.data<A>()[row] : A{0});
        row_logits<A>(p, score, i, query, key, ks.row_stride, s.data());
        std::fill(dq.begin(), dq.end(), A{0});
        for (int64_t j = 0; j < p.plan.key_end(i); ++j) {
          const auto js = static_cast<size_t>(j);
          const A prob = std::exp(s[js] - lse), factor = dropout_factor<A>(p, mask, i, j);
          const A dp = factor * dot<A>(go, value + j * vs.row_stride, e.value_dim);
          const A ds = scale * prob * (dp - delta);
          for (size_t d = 0; d < D; ++d) {
            dq[d] += ds * static_cast<A>(key[j * ks.row_stride + static_cast<int64_t>(d)]);
            dk[js * D + d] += ds * static_cast<A>(query[d]);
          }
          for (size_t d = 0; d < Dv; ++d) dv[js * Dv + d] += factor * prob * static_cast<A>(go[d]);
        }
        if (want_q) {
          const Rows<T> dqs(grads.dq);
          T* to = dqs.head(b, h) + i * dqs.row_stride;
          for (size_t d = 0; d < D; ++d) to[d] = static_cast<T>(dq[d]);
        }
      }
    }
    if (!want_kv) return;
    const Rows<T> dks(grads.dk), dvs(grads.dv);
    for (size_t j = 0; j < M; ++j) {
      T* to_k = dks.head(b, hk) + static_cast<int64_t>(j) * dks.row_stride;
      T* to_v = dvs.head(b, hk) + static_cast<int64_t>(j) * dvs.row_stride;
      for (size_t d = 0; d < D; ++d) to_k[d] = static_cast<T>(dk[j * D + d]);
      for (size_t d = 0; d < Dv; ++d) to_v[d] = static_cast<T>(dv[j * Dv + d]);
    }
  });
}

}  // namespace

void reference_forward(const Problem& problem, const Tensor& q, const Tensor& k, const Tensor& v,
                       const Tensor& out, const Tensor& lse) {
  dispatch_floating(q.dtype(), "attention",
                    [&](auto type) { forward<decltype(type)>(problem, q, k, v, out, lse); });
}

void reference_backward(const Problem& problem, const Tensor& dout, const Tensor& dlse,
                        const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionOutput& fwd, const AttentionGradients& grads) {
  dispatch_floating(q.dtype(), "attention", [&](auto type) {
    backward<decltype(type)>(problem, dout, dlse, q, k, v, fwd, grads);
  });
}

}  // namespace heed::kernels::attn
