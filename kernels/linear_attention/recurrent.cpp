// The recurrence token by token in f64, which gradient checks run on. Backwards, with dS the
// gradient of S_t through everything from t on:
//   dq_t = S_t do_t       dS += q_t do_t^T        dk_t = dS v_t      dv_t = dS^T k_t
//   dg_t = e^(g_t) <S_{t-1}, dS>  (row by row for a gate by channel)      dS = e^(g_t) dS
// The states of one chunk at a time are kept.
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "kernels/linear_attention/problem.h"

namespace heed::kernels::linear {
namespace {

using attn::Rows;
using Row = const double*;

double decay_of(const Problem& p, const Operands& x, int64_t sequence, int64_t t, int64_t d) {
  if (p.gate == Gate::none) return 1.0;
  const int64_t token = sequence * p.tokens + t;
  const auto* g = x.log_decay.data<double>();
  return std::exp(p.gate == Gate::token ? g[token] : g[token * p.key_dim + d]);
}

/// S = e^g S + k v^T, in rows of `width`.
void step(const Problem& p, const Operands& x, int64_t sequence, int64_t t, Row k, Row v,
          int64_t width, const double* before, double* after) {
  for (int64_t d = 0; d < p.key_dim; ++d) {
    const double decay = decay_of(p, x, sequence, t, d);
    for (int64_t c = 0; c < p.value_dim; ++c) {
      const int64_t at = d * width + c;
      after[at] = (decay == 0.0 ? 0.0 : decay * before[at]) + k[d] * v[c];
    }
  }
}

void backward_sequence(const Problem& p, const Operands& x, const Tensor& dout,
                       const States& states, const States& dstates, const Gradients& grads,
                       int64_t sequence) {
  const int64_t b = sequence / p.heads, h = sequence % p.heads, width = states.width();
  const Rows<const double> q(x.q), k(x.k), v(x.v), dy(dout);
  const Rows<double> dq(grads.dq), dk(grads.dk), dv(grads.dv);
  const auto row = [&](const auto& rows, int64_t t) {
    return rows.head(b, h) + t * rows.row_stride;
  };
  std::vector<double> kept(static_cast<size_t>((kChunk + 1) * states.size()));
  const auto state = [&](int64_t i) { return kept.data() + i * states.size(); };
  std::vector<double> ds(static_cast<size_t>(states.size()));
  std::copy_n(dstates.at<double>(sequence, p.chunks()), states.size(), ds.data());
  for (int64_t c = p.chunks() - 1; c >= 0; --c) {
    const int64_t first = c * kChunk, count = std::min(kChunk, p.tokens - first);
    std::copy_n(states.at<double>(sequence, c), states.size(), state(0));
    for (int64_t i = 0; i < count; ++i) {
      std::fill_n(state(i + 1), states.size(), 0.0);
      step(p, x, sequence, first + i, row(k, first + i), row(v, first + i), width, state(i),
           state(i + 1));
    }
    for (int64_t i = count - 1; i >= 0; --i) {
      const int64_t t = first + i;
      std::fill_n(row(dv, t), p.value_dim, 0.0);
      double dg = 0.0;
      for (int64_t d = 0; d < p.key_dim; ++d) {
        const double decay = decay_of(p, x, sequence, t, d);
        double dqd = 0.0, dkd = 0.0, dgd = 0.0;
        for (int64_t e = 0; e < p.value_dim; ++e) {
          const int64_t at = d * width + e;
          double& g = ds[static_cast<size_t>(at)];
          dqd += state(i + 1)[at] * row(dy, t)[e];
          g += row(q, t)[d] * row(dy, t)[e];
          dkd += g * row(v, t)[e];
          row(dv, t)[e] += g * row(k, t)[d];
          dgd += decay * state(i)[at] * g;
          g *= decay;
        }
        row(dq, t)[d] = dqd;
        row(dk, t)[d] = dkd;
        dg += dgd;
        if (p.gate == Gate::channel)
          grads.dlog_decay.data<double>()[(sequence * p.tokens + t) * p.key_dim + d] = dgd;
      }
      if (p.gate == Gate::token) grads.dlog_decay.data<double>()[sequence * p.tokens + t] = dg;
    }
    std::copy_n(ds.data(), states.size(), dstates.at<double>(sequence, c));
  }
}

}  // namespace

void recurrent_forward(const Problem& p, const Operands& x, const States& states,
                       const Tensor& out) {
  const Rows<const double> q(x.q), k(x.k), v(x.v);
  const Rows<double> y(out);
  parallel_for(p.sequences(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t sequence = begin; sequence < end; ++sequence) {
      const int64_t b = sequence / p.heads, h = sequence % p.heads;
      for (int64_t t = 0; t < p.tokens; ++t) {
        double* s = states.at<double>(sequence, t / kChunk + 1);
        if (t % kChunk == 0) std::copy_n(states.at<double>(sequence, t / kChunk), states.size(), s);
        step(p, x, sequence, t, k.head(b, h) + t * k.row_stride, v.head(b, h) + t * v.row_stride,
             states.width(), s, s);
        Row query = q.head(b, h) + t * q.row_stride;
        double* to = y.head(b, h) + t * y.row_stride;
        std::fill_n(to, p.value_dim, 0.0);
        for (int64_t d = 0; d < p.key_dim; ++d)
          for (int64_t e = 0; e < p.value_dim; ++e) to[e] += query[d] * s[d * states.width() + e];
      }
    }
  });
}

void recurrent_backward(const Problem& p, const Operands& x, const Tensor& dout,
                        const States& states, const States& dstates, const Gradients& grads) {
  parallel_for(p.sequences(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) backward_sequence(p, x, dout, states, dstates, grads, s);
  });
}

}  // namespace heed::kernels::linear
