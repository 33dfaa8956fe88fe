#include "kernels/attention/attention.h"

#include "core/views.h"
#include "core/work.h"
#include "kernels/attention/call.h"
#include "kernels/attention/composed.h"
#include "kernels/attention/cuda/fused.h"
#include "kernels/attention/fused.h"
#include "kernels/attention/reference.h"
#include "kernels/elementwise/accumulate.h"

namespace heed::kernels::attn {

Extents checked_extents(const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionSpec& spec, std::optional<int64_t> paged_keys) {
  HEED_CHECK(q.rank() == 4 && k.rank() == 4 && v.rank() == 4,
             "attention: q, k, v must be [B, H, N, D], got {}, {}, {}", q, k, v);
  const int64_t keys = paged_keys ? *paged_keys : k.size(2);
  HEED_CHECK(keys >= 0, "paged attention: {} tokens", keys);
  const Extents e{q.size(0), q.size(1), k.size(1), q.size(2), keys, q.size(3), v.size(3)};
  HEED_CHECK(paged_keys ? k.size(0) == v.size(0) : k.size(0) == e.batch && v.size(0) == e.batch,
             "attention: q has batch {}, k has {}, v has {}", e.batch, k.size(0), v.size(0));
  HEED_CHECK(k.size(3) == e.head_dim, "attention: q has head_dim {}, k has {}", e.head_dim,
             k.size(3));
  HEED_CHECK(v.size(1) == e.kv_heads && v.size(2) == k.size(2),
             "attention: k is {}, v is {}: heads and lengths differ", k, v);
  HEED_CHECK(e.kv_heads > 0 && e.heads % e.kv_heads == 0,
             "attention: {} query heads are not a multiple of {} key/value heads", e.heads,
             e.kv_heads);
  HEED_CHECK(e.head_dim > 0 && e.value_dim > 0, "attention: empty head_dim, q {}, v {}", q, v);
  HEED_CHECK(q.dtype() == k.dtype() && q.dtype() == v.dtype(),
             "attention: q, k, v have different dtypes: {}, {}, {}", q, k, v);
  HEED_CHECK(spec.dropout >= 0.0 && spec.dropout < 1.0, "attention: dropout {} is not in [0, 1)",
             spec.dropout);
  return e;
}

Problem make_problem(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionSpec& spec,
                     std::optional<int64_t> paged_keys) {
  require_cpu(q.device(), "attention");
  return Problem(checked_extents(q, k, v, spec, paged_keys), spec, statistics_dtype(q.dtype()));
}

Tensor with_contiguous_rows(const Tensor& x) {
  return x.size(3) == 1 || x.stride(3) == 1 ? x : contiguous_as(x, x.dtype());
}

Tensor token_major(int64_t batch, int64_t heads, int64_t rows, int64_t width, DType dtype,
                   Device device) {
  return views::transpose(Tensor::empty({batch, rows, heads, width}, dtype, device), 1, 2);
}

Tensor token_major(const Tensor& x) {
  return token_major(x.size(0), x.size(1), x.size(2), x.size(3), x.dtype(), x.device());
}

void count_products(const Problem& problem, int64_t keys, int64_t values) {
  const int64_t width = keys * problem.e.head_dim + values * problem.e.value_dim;
  count_flops(2.0 * static_cast<double>(problem.plan.pairs()) * static_cast<double>(width));
}

DType statistics_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

void prepare_score_gradients(AttentionGradients& g, const AttentionScore& s, const ScoreWants& w,
                             DType dtype) {
  const auto prepare = [&](bool wanted, const Tensor& of, Tensor& gradient) {
    if (wanted && of.defined()) gradient = Tensor::zeros(of.shape(), dtype, of.device());
  };
  prepare(w.query_temperature, s.query_temperature, g.query_temperature);
  prepare(w.key_temperature, s.key_temperature, g.key_temperature);
  prepare(w.bias, s.bias, g.bias);
  prepare(w.table, s.table, g.table);
  prepare(w.sink, s.sink, g.sink);
  for (size_t a = 0; a < kRelativeAxes; ++a)
    prepare(w.relative_logits[a], s.relative_logits[a].logits, g.relative_logits[a]);
}

}  // namespace heed::kernels::attn

namespace heed::kernels {
namespace {

using attn::count_products;
using attn::Extents;
using attn::make_problem;
using attn::Problem;
using attn::statistics_dtype;
using attn::token_major;
using attn::with_contiguous_rows;

void prepare_gradient(Tensor& gradient, const Tensor& of, const char* name) {
  if (!gradient.defined()) {
    gradient = token_major(of);
    return;
  }
  HEED_CHECK(gradient.shape() == of.shape() && gradient.dtype() == of.dtype() &&
                 (gradient.size(3) == 1 || gradient.stride(3) == 1),
             "attention backward: {} is to go into {}, which does not fit {}", name, gradient, of);
}

}  // namespace

int64_t attention_pairs(const AttentionPattern& pattern, const PatternExtents& extents) {
  return attn::tile_plan(pattern, extents)->pairs();
}

AttentionOutput attention(const Tensor& q_in, const Tensor& k_in, const Tensor& v_in,
                          const AttentionSpec& spec) {
  if (!q_in.device().is_cpu()) {
    return attn::fits_fused_cuda(q_in, v_in, spec)
               ? attn::fused_cuda_forward(q_in, k_in, v_in, spec)
               : attn::composed_forward(q_in, k_in, v_in, spec);
  }
  const Problem problem = make_problem(q_in, k_in, v_in, spec);
  const Tensor q = with_contiguous_rows(q_in), k = with_contiguous_rows(k_in),
               v = with_contiguous_rows(v_in);
  const Extents& e = problem.e;
  count_products(problem, 1, 1);
  AttentionOutput result{token_major(e.batch, e.heads, e.queries, e.value_dim, q.dtype()),
                         Tensor::empty({e.batch, e.heads, e.queries}, statistics_dtype(q.dtype()))};
  if (q.dtype() == DType::f64)
    attn::reference_forward(problem, q, k, v, result.out, result.lse);
  else if (attn::suits_decode(problem))
    attn::decode_forward(problem, q, k, v, result.out, result.lse);
  else
    attn::fused_forward(problem, q, k, v, result.out, result.lse);
  return result;
}

AttentionGradients attention_backward(const Tensor& dout, const Tensor& dlse, const Tensor& q_in,
                                      const Tensor& k_in, const Tensor& v_in,
                                      const AttentionOutput& forward, const AttentionSpec& spec,
                                      bool want_q, bool want_kv, AttentionGradients into,
                                      const ScoreWants& wants) {
  if (!q_in.device().is_cpu() && attn::fits_fused_cuda(q_in, v_in, spec, wants)) {
    return attn::fused_cuda_backward(dout, dlse, q_in, k_in, v_in, forward, spec, want_q, want_kv,
                                     std::move(into));
  }
  if (!q_in.device().is_cpu()) {
    return attn::composed_backward(dout, dlse, q_in, k_in, v_in, forward, spec, want_q, want_kv,
                                   std::move(into), wants);
  }
  const Problem problem = make_problem(q_in, k_in, v_in, spec);
  const Tensor q = with_contiguous_rows(q_in), k = with_contiguous_rows(k_in),
               v = with_contiguous_rows(v_in);
  const Extents& e = problem.e;
  const Shape rows{e.batch, e.heads, e.queries};
  const Shape values{e.batch, e.heads, e.queries, e.value_dim};
  HEED_CHECK(dout.shape() == values && (!forward.out.defined() || forward.out.shape() == values),
             "attention backward: wants out and its gradient {}, got {} and {}", values,
             forward.out, dout);
  HEED_CHECK(forward.lse.shape() == rows && (!dlse.defined() || dlse.shape() == rows),
             "attention backward: wants lse and its gradient {}, got {} and {}", rows, forward.lse,
             dlse);
  const DType statistics = statistics_dtype(q.dtype());
  count_products(problem, 3, 2);
  AttentionGradients grads;
  if (want_q) prepare_gradient(grads.dq = into.dq, q, "dq");
  if (want_kv) {
    prepare_gradient(grads.dk = into.dk, k, "dk");
    prepare_gradient(grads.dv = into.dv, v, "dv");
  }
  attn::prepare_score_gradients(grads, spec.score, wants, statistics);
  const auto with_rows = [&](const Tensor& x) {
    return with_contiguous_rows(x.dtype() == q.dtype() ? x : contiguous_as(x, q.dtype()));
  };
  const Tensor dout_rows = with_rows(dout);
  const Tensor dlse_rows = dlse.defined() ? contiguous_as(dlse, statistics) : dlse;
  const AttentionOutput whole{forward.out.defined() ? with_rows(forward.out) : forward.out,
                              contiguous_as(forward.lse, statistics)};
  if (q.dtype() == DType::f64)
    attn::reference_backward(problem, dout_rows, dlse_rows, q, k, v, whole, grads);
  else
    attn::fused_backward(problem, dout_rows, dlse_rows, q, k, v, whole, grads);
  return grads;
}

}  // namespace heed::kernels
