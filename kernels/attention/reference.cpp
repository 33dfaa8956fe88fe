// Row i of head (b, h), over the keys j that its pattern allows:
//   x_j = scale t_i t'_j q_i.k_j      s_j = cap(x_j) + added_ij - slope (i + offset - j)
//   lse = log (e^sink + sum_j e^s_j)  p_j = exp(s_j - lse)      o = sum_j m_j p_j v_j  (m: dropout)
// and backwards, from the row's do and dlse:
//   delta = do.o - dlse      ds_j = p_j (m_j do.v_j - delta)      dsink = -p_sink delta
//   dx_j  = cap'(x_j) ds_j   dq = scale sum_j t_i t'_j dx_j k_j   dk_j += scale t_i t'_j dx_j q
//   dv_j += m_j p_j do       dt_i = sum_j dx_j x_j / t_i          dadded_ij = ds_j
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

/// A key that a row sees: its place, q.k, the capped score and the logit.
template <class A>
struct Seen {
  int64_t j;
  A product, capped, logit;
};

/// The keys of query i of (batch b, head h).
template <class A, class T>
void row_logits(const Problem& p, const ScoreTerms<A>& terms, int64_t b, int64_t h, int64_t i,
                const T* q, const T* k, int64_t k_stride, std::vector<Seen<A>>& row) {
  const HeadScore score(p.spec.score, p.e, h);
  row.clear();
  for (int64_t j = 0; j < p.e.keys; ++j) {
    if (!p.spec.pattern.allowed(b, h, i, j)) continue;
    const A product = dot<A>(q, k + j * k_stride, p.e.head_dim);
    const A capped =
        terms.capped(static_cast<A>(score.scale) * terms.temperature(b, h, i, j) * product);
    const auto distance = static_cast<double>(i + p.offset() - j);
    row.push_back({j, product, capped,
                   capped + terms.added(b, h, i, j) - static_cast<A>(score.slope * distance)});
  }
}

template <class A>
A dropout_factor(const Problem& p, const DropoutMask& mask, int64_t i, int64_t j) {
  if (p.spec.dropout == 0.0) return A{1};
  return mask.keeps(p.plan.query_slot(i), p.plan.key_slot(j)) ? static_cast<A>(mask.keep_scale())
                                                              : A{0};
}

template <class T>
void forward(const Problem& p, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
             const Tensor& lse) {
  using A = accumulate_t<T>;
  const Extents& e = p.e;
  const Rows<const T> qs(q), ks(k), vs(v);
  const Rows<T> outs(out);
  const auto terms = p.terms<A>();
  parallel_for(e.batch * e.heads * e.queries, 16, [&](int64_t begin, int64_t end) {
    std::vector<Seen<A>> seen;
    std::vector<A> o(static_cast<size_t>(e.value_dim));
    for (int64_t row = begin; row < end; ++row) {
      const int64_t i = row % e.queries, bh = row / e.queries;
      const int64_t b = bh / e.heads, h = bh % e.heads, hk = h / e.group();
      const DropoutMask mask(p.spec, b, h);
      row_logits<A>(p, terms, b, h, i, qs.head(b, h) + i * qs.row_stride, ks.head(b, hk),
                    ks.row_stride, seen);
      const A valueless = valueless_logit(terms, b, h, i, p.virtual_keys(i));
      A max = valueless;
      for (const Seen<A>& s : seen) max = std::max(max, s.logit);
      const bool empty = max == -std::numeric_limits<A>::infinity();
      A sum = empty ? A{1} : std::exp(valueless - max);
      std::fill(o.begin(), o.end(), A{0});
      for (const Seen<A>& s : seen) {
        const A w = std::exp(s.logit - max), wm = w * dropout_factor<A>(p, mask, i, s.j);
        sum += w;
        const T* value = vs.head(b, hk) + s.j * vs.row_stride;
        for (int64_t d = 0; d < e.value_dim; ++d)
          o[static_cast<size_t>(d)] += wm * static_cast<A>(value[d]);
      }
      T* to = outs.head(b, h) + i * outs.row_stride;
      for (int64_t d = 0; d < e.value_dim; ++d)
        to[d] = static_cast<T>(o[static_cast<size_t>(d)] / sum);
      lse.data<A>()[row] = max + std::log(sum);
    }
  });
}

/// Where the gradient of element (b, h, i, j) of a score's tensor is added.
template <class A>
struct ScoreGradient {
  A* data = nullptr;
  int64_t b = 0, h = 0, i = 0, j = 0;

  ScoreGradient(const Tensor& gradient, const Broadcast4<A>& of)
      : data(gradient.defined() ? gradient.data<A>() : nullptr),
        b(of.b),
        h(of.h),
        i(of.i),
        j(of.j) {}
  void add(int64_t bb, int64_t hh, int64_t ii, int64_t jj, A value) const {
    if (data) data[bb * b + hh * h + ii * i + jj * j] += value;
  }
};

template <class T>
void backward(const Problem& p, const Tensor& dout, const Tensor& dlse, const Tensor& q,
              const Tensor& k, const Tensor& v, const AttentionOutput& fwd,
              const AttentionGradients& grads, const PairWalk<double>& walk) {
  using A = accumulate_t<T>;
  const Extents& e = p.e;
  const Rows<const T> qs(q), ks(k), vs(v), douts(dout);
  const Rows<const T> outs = fwd.out.defined() ? Rows<const T>(fwd.out) : Rows<const T>();
  const auto D = static_cast<size_t>(e.head_dim), Dv = static_cast<size_t>(e.value_dim);
  const auto terms = p.terms<A>();
  const ScoreGradient<A> d_tq(grads.query_temperature, terms.query_temperature),
      d_tk(grads.key_temperature, terms.key_temperature), d_bias(grads.bias, terms.bias),
      d_table(grads.table, terms.table), d_sink(grads.sink, terms.sink);
  std::vector<ScoreGradient<A>> d_relative;
  bool shares = d_tq.data || d_tk.data || d_bias.data || d_table.data || d_sink.data;
  for (size_t a = 0; a < kRelativeAxes; ++a) {
    d_relative.emplace_back(grads.relative_logits[a], terms.relative_logits[a]);
    shares = shares || d_relative.back().data;
  }
  // Gradients that broadcast are added up by one thread.
  const int64_t pairs = e.batch * e.kv_heads;
  parallel_for(pairs, shares ? pairs : 1, [&](int64_t begin, int64_t end) {
    const auto M = static_cast<size_t>(e.keys);
    std::vector<Seen<A>> seen;
    std::vector<A> dk(M * D), dv(M * Dv), dq(D);
    for (int64_t pair = begin; pair < end; ++pair) {
      const int64_t b = pair / e.kv_heads, hk = pair % e.kv_heads;
      const T *key = ks.head(b, hk), *value = vs.head(b, hk);
      std::fill(dk.begin(), dk.end(), A{0});
      std::fill(dv.begin(), dv.end(), A{0});
      for (int64_t h = hk * e.group(); h < (hk + 1) * e.group(); ++h) {
        const DropoutMask mask(p.spec, b, h);
        const A scale = static_cast<A>(HeadScore(p.spec.score, e, h).scale);
        for (int64_t i = 0; i < e.queries; ++i) {
          const int64_t row = (b * e.heads + h) * e.queries + i;
          const T* query = qs.head(b, h) + i * qs.row_stride;
          const T* go = douts.head(b, h) + i * douts.row_stride;
          const A lse = fwd.lse.data<A>()[row];
          A delta = dlse.defined() ? -dlse.data<A>()[row] : A{0};
          if (outs.data) delta += dot<A>(go, outs.head(b, h) + i * outs.row_stride, e.value_dim);
          row_logits<A>(p, terms, b, h, i, query, key, ks.row_stride, seen);
          if (walk.row_least) {
            for (const Seen<A>& s : seen) {
              walk.row_least[row] = std::min<double>(walk.row_least[row], s.logit);
              walk.row_largest[row] = std::max<double>(walk.row_largest[row], s.logit);
            }
            continue;
          }
          std::fill(dq.begin(), dq.end(), A{0});
          if (terms.sink && !std::isinf(lse))
            d_sink.add(b, h, i, 0, -std::exp(terms.sink.at(b, h, i, 0) - lse) * delta);
          for (const Seen<A>& s : seen) {
            const auto js = static_cast<size_t>(s.j);
            const A prob = std::exp(s.logit - lse), factor = dropout_factor<A>(p, mask, i, s.j);
            const int64_t bucket =
                walk.index.relative ? row * walk.index.entries + walk.index(i, s.j) : 0;
            const int64_t column = (b * e.heads + h) * e.keys + s.j;
            A dp = dot<A>(go, value + s.j * vs.row_stride, e.value_dim);
            if (walk.bucket_gradient) dp += static_cast<A>(walk.bucket_gradient[bucket]);
            if (walk.key_factor) dp *= static_cast<A>(walk.key_factor[column]);
            dp *= factor;
            const A ds = prob * (dp - delta);
            const A dx = terms.slope(s.capped) * ds;
            const A dproduct = scale * terms.temperature(b, h, i, s.j) * dx;
            for (size_t d = 0; d < D; ++d) {
              dq[d] +=
                  dproduct * static_cast<A>(key[s.j * ks.row_stride + static_cast<int64_t>(d)]);
              dk[js * D + d] += dproduct * static_cast<A>(query[d]);
            }
            for (size_t d = 0; d < Dv; ++d)
              dv[js * Dv + d] += factor * prob * static_cast<A>(go[d]);
            d_bias.add(b, h, i, s.j, ds);
            if (d_table.data) d_table.add(0, h, 0, terms.table_index(i, s.j), ds);
            for (size_t a = 0; a < kRelativeAxes; ++a)
              if (d_relative[a].data)
                d_relative[a].add(b, h, i, terms.relative_index[a](i, s.j), ds);
            if (walk.bucket_sums) walk.bucket_sums[bucket] += static_cast<double>(ds);
            if (walk.key_sums) walk.key_sums[column] += static_cast<double>(ds);
            if (walk.row_sums) walk.row_sums[row] += static_cast<double>(ds);
            const A dt = scale * s.product * dx;
            if (d_tq.data)
              d_tq.add(b, h, i, 0,
                       terms.key_temperature ? dt * terms.key_temperature.at(b, h, 0, s.j) : dt);
            if (d_tk.data)
              d_tk.add(b, h, 0, s.j,
                       terms.query_temperature ? dt * terms.query_temperature.at(b, h, i, 0) : dt);
          }
          if (grads.dq.defined()) {
            const Rows<T> dqs(grads.dq);
            T* to = dqs.head(b, h) + i * dqs.row_stride;
            for (size_t d = 0; d < D; ++d) to[d] = static_cast<T>(dq[d]);
          }
        }
      }
      const auto store = [&](const Tensor& to, const std::vector<A>& from, size_t width) {
        if (!to.defined()) return;
        const Rows<T> rows(to);
        for (size_t j = 0; j < M; ++j) {
          T* row = rows.head(b, hk) + static_cast<int64_t>(j) * rows.row_stride;
          for (size_t d = 0; d < width; ++d) row[d] = static_cast<T>(from[j * width + d]);
        }
      };
      store(grads.dk, dk, D);
      store(grads.dv, dv, Dv);
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
                        const AttentionOutput& fwd, const AttentionGradients& grads,
                        const PairWalk<double>& walk) {
  dispatch_floating(q.dtype(), "attention", [&](auto type) {
    backward<decltype(type)>(problem, dout, dlse, q, k, v, fwd, grads, walk);
  });
}

}  // namespace heed::kernels::attn
