// With S = scale q k' + bias - alibi, -infinity where there is no pair, and P = exp(S - lse):
//   out = P v,  dv = P' dout,  dS = P (dout v' - rowsum(dout out) + dlse),  dq = scale dS k,
//   dk = scale dS' q
// Scores are of the type of statistics; P and dS are rounded to q's type for the products.
#include "kernels/attention/composed.h"

#include <limits>

#include "core/views.h"
#include "kernels/attention/call.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/matmul/matmul.h"
#include "kernels/reduce/logsumexp.h"
#include "kernels/reduce/reduce.h"

namespace heed::kernels::attn {
namespace {

void refuse(const AttentionSpec& spec, Device device) {
  const AttentionScore& s = spec.score;
  bool more = s.softcap != 0.0 || s.query_temperature.defined() || s.key_temperature.defined() ||
              s.table.defined() || s.sink.defined();
  for (const RelativeLogits& r : s.relative_logits) more = more || r.logits.defined();
  if (!spec.pattern.is_dense()) more = more || spec.pattern.rule()->has_virtual_keys();
  if (more) require_cpu(device, "attention with more than scale, ALiBi and bias");
}

// What the host knows of every pair: 0 or -infinity, less ALiBi; [B or 1, H or 1, N, M].
Tensor pair_terms(const AttentionSpec& spec, const Extents& e, DType dtype) {
  const bool dense = spec.pattern.is_dense(), alibi = !spec.score.alibi.empty();
  if (dense && !alibi) return {};
  const int64_t batch = !dense && spec.pattern.rule()->varies_by_batch() ? e.batch : 1;
  const int64_t heads = alibi || (!dense && spec.pattern.rule()->varies_by_head()) ? e.heads : 1;
  if (!dense) spec.pattern.rule()->check({e.batch, e.heads, e.queries, e.keys});
  std::vector<double> terms;
  terms.reserve(static_cast<size_t>(batch * heads * e.queries * e.keys));
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      const double slope = HeadScore(spec.score, e, h).slope;
      for (int64_t i = 0; i < e.queries; ++i) {
        for (int64_t j = 0; j < e.keys; ++j) {
          const auto distance = static_cast<double>(i + spec.pattern.query_offset - j);
          terms.push_back(spec.pattern.allowed(b, h, i, j)
                              ? (slope == 0.0 ? 0.0 : -slope * distance)
                              : -std::numeric_limits<double>::infinity());
        }
      }
    }
  }
  return cast(Tensor::from(terms, {batch, heads, e.queries, e.keys}), dtype);
}

// Of every pair: 0, or 1 / (1 - p) where it survives dropout; undefined without.
Tensor survivors(const AttentionSpec& spec, const Extents& e, DType dtype) {
  if (spec.dropout == 0.0) return {};
  const auto plan = tile_plan(spec.pattern, {e.batch, e.heads, e.queries, e.keys});
  std::vector<double> factors;
  factors.reserve(static_cast<size_t>(e.batch * e.heads * e.queries * e.keys));
  for (int64_t b = 0; b < e.batch; ++b) {
    for (int64_t h = 0; h < e.heads; ++h) {
      const DropoutMask mask(spec, b, h);
      for (int64_t i = 0; i < e.queries; ++i) {
        for (int64_t j = 0; j < e.keys; ++j) {
          const bool kept = mask.keeps(plan->query_slot(i), plan->key_slot(j));
          factors.push_back(kept ? mask.keep_scale() : 0.0);
        }
      }
    }
  }
  return cast(Tensor::from(factors, {e.batch, e.heads, e.queries, e.keys}), dtype);
}

// One call: heads seen as [B, Hkv, group, ...], so that a key/value head meets its query heads.
class Composed {
 public:
  Composed(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionSpec& spec)
      : e_(checked_extents(q, k, v, spec)),
        spec_(spec),
        device_(q.device()),
        statistics_(statistics_dtype(q.dtype())),
        scale_(HeadScore(spec.score, e_, 0).scale),
        q_(grouped(q)),
        k_(shared(k)),
        v_(shared(v)) {
    refuse(spec, device_);
    const Tensor mask = survivors(spec, e_, statistics_);
    if (mask.defined()) survivors_ = mask.to(device_);
  }

  const Extents& e() const { return e_; }
  Device device() const { return device_; }
  DType statistics() const { return statistics_; }

  /// Logits as rows [B H N, M].
  Tensor logits() const {
    Tensor s = Tensor::empty({e_.batch, e_.kv_heads, e_.group(), e_.queries, e_.keys}, statistics_,
                             device_);
    gemm(q_, views::transpose(k_, -2, -1), s);
    s = binary(Binary::mul, views::reshape(s, pairs()), scale_);
    if (spec_.score.bias.defined()) s = add(s, spec_.score.bias);
    if (const Tensor terms = pair_terms(spec_, e_, statistics_); terms.defined()) s = add(s, terms);
    return views::reshape(s, {e_.batch * e_.heads * e_.queries, e_.keys});
  }

  /// exp(logits - lse), 0 in rows without a pair; lse [B, H, N]: [B, H, N, M].
  Tensor probabilities(const Tensor& logits, const Tensor& lse) const {
    const Tensor ones = Tensor::full({logits.size(0)}, 1.0, statistics_, device_);
    const Tensor rows = views::reshape(contiguous_as(lse, statistics_), {logits.size(0)});
    return views::reshape(logsumexp_rows_backward(ones, logits, rows), pairs());
  }

  Tensor dropped(const Tensor& p) const {
    return survivors_.defined() ? binary(Binary::mul, p, survivors_) : p;
  }

  /// p v into out [B, H, N, Dv].
  void values(const Tensor& p, const Tensor& out) const {
    gemm(grouped(cast(p, q_.dtype())), v_, grouped(out));
  }

  /// dout v': [B, H, N, M].
  Tensor values_backward(const Tensor& dout) const {
    Tensor dp = Tensor::empty({e_.batch, e_.kv_heads, e_.group(), e_.queries, e_.keys}, statistics_,
                              device_);
    gemm(grouped(dout), views::transpose(v_, -2, -1), dp);
    return views::reshape(dp, pairs());
  }

  /// ds k into dq.
  void queries(const Tensor& ds, const Tensor& dq) const {
    gemm(grouped(cast(ds, q_.dtype())), k_, grouped(dq));
  }

  /// x' y over the rows of a group's heads, into [B, Hkv, M, D].
  void keys(const Tensor& x, const Tensor& y, const Tensor& into) const {
    gemm(views::transpose(rows_of_group(cast(x, q_.dtype())), -2, -1), rows_of_group(y), into);
  }

 private:
  Shape pairs() const { return {e_.batch, e_.heads, e_.queries, e_.keys}; }

  // Terms may come from the host.
  Tensor add(const Tensor& s, const Tensor& terms) const {
    return binary(Binary::add, s, cast(terms.to(device_), statistics_));
  }

  Tensor grouped(const Tensor& x) const {
    return views::reshape(x, {e_.batch, e_.kv_heads, e_.group(), x.size(2), x.size(3)});
  }
  Tensor shared(const Tensor& x) const { return views::unsqueeze(x, 2); }
  Tensor rows_of_group(const Tensor& x) const {
    return views::reshape(contiguous(x),
                          {e_.batch, e_.kv_heads, e_.group() * e_.queries, x.size(3)});
  }

  Extents e_;
  const AttentionSpec& spec_;
  Device device_;
  DType statistics_;
  double scale_;
  Tensor q_, k_, v_, survivors_;
};

}  // namespace

AttentionOutput composed_forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const AttentionSpec& spec) {
  const Composed call(q, k, v, spec);
  const Extents& e = call.e();
  const Tensor logits = call.logits();
  const Tensor lse = views::reshape(logsumexp_rows(logits), {e.batch, e.heads, e.queries});
  const AttentionOutput result{
      token_major(e.batch, e.heads, e.queries, e.value_dim, q.dtype(), call.device()), lse};
  call.values(call.dropped(call.probabilities(logits, lse)), result.out);
  return result;
}

AttentionGradients composed_backward(const Tensor& dout_in, const Tensor& dlse, const Tensor& q,
                                     const Tensor& k, const Tensor& v,
                                     const AttentionOutput& forward, const AttentionSpec& spec,
                                     bool want_q, bool want_kv, AttentionGradients into,
                                     const ScoreWants& wants) {
  const Composed call(q, k, v, spec);
  const Tensor dout = contiguous_as(dout_in, q.dtype());
  const Tensor p = call.probabilities(call.logits(), forward.lse);
  Tensor less =
      Tensor::zeros({p.size(0), p.size(1), p.size(2), 1}, call.statistics(), call.device());
  if (forward.out.defined()) {
    less = sum(
        binary(Binary::mul, cast(dout, call.statistics()), cast(forward.out, call.statistics())),
        {3}, /*keepdim=*/true);
  }
  if (dlse.defined()) {
    less = binary(Binary::sub, less, views::unsqueeze(cast(dlse, call.statistics()), 3));
  }
  const Tensor dp = call.dropped(call.values_backward(dout));
  Tensor ds = binary(Binary::mul, p, binary(Binary::sub, dp, less));

  AttentionGradients grads;
  if (wants.bias && spec.score.bias.defined()) grads.bias = sum_to(ds, spec.score.bias.shape());
  ds = binary(Binary::mul, ds, HeadScore(spec.score, call.e(), 0).scale);
  if (want_q) {
    grads.dq = into.dq.defined() ? into.dq : token_major(q);
    call.queries(ds, grads.dq);
  }
  if (want_kv) {
    grads.dk = into.dk.defined() ? into.dk : token_major(k);
    grads.dv = into.dv.defined() ? into.dv : token_major(v);
    call.keys(ds, q, grads.dk);
    call.keys(call.dropped(p), dout, grads.dv);
  }
  return grads;
}

}  // namespace heed::kernels::attn
