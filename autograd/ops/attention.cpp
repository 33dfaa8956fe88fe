#include "autograd/ops/attention.h"

#include <cmath>

#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "autograd/score_tensors.h"
#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/attention/merge.h"
#include "kernels/attention/probabilities.h"
#include "kernels/attention/scores.h"
#include "kernels/copy/copy.h"

namespace heed {
namespace {

/// The q, k and v parts of a packed tensor [B, N, (H + 2 Hkv) D], as [B, heads, N, D] views.
struct PackedParts {
  Tensor q, k, v;

  PackedParts(const char* op, const Tensor& qkv, int64_t heads, int64_t kv_heads) {
    HEED_CHECK(heads > 0 && kv_heads > 0, "{}: {} heads, {} key/value heads", op, heads, kv_heads);
    const int64_t slots = heads + 2 * kv_heads;
    HEED_CHECK(qkv.rank() == 3 && qkv.size(2) % slots == 0,
               "{}: {} is not [B, N, (H + 2 Hkv) D] with H = {}, Hkv = {}", op, qkv, heads,
               kv_heads);
    const int64_t head_dim = qkv.size(2) / slots;
    auto part = [&](int64_t first, int64_t count) {
      return views::as_strided(
          qkv, {qkv.size(0), count, qkv.size(1), head_dim},
          {qkv.stride(0), head_dim * qkv.stride(2), qkv.stride(1), qkv.stride(2)},
          first * head_dim * qkv.stride(2));
    };
    q = part(0, heads);
    k = part(heads, kv_heads);
    v = part(heads + kv_heads, kv_heads);
  }
};

/// [B, H, N, D] laid out [B, N, H, D] as [B, N, H D].
Tensor merge_heads(const Tensor& x) {
  return views::reshape(views::transpose(x, 1, 2), {x.size(0), x.size(2), x.size(1) * x.size(3)});
}

/// [B, N, H D] as [B, H, N, D].
Tensor split_heads(const Tensor& x, int64_t heads) {
  const int64_t head_dim = x.size(2) / heads;
  return views::as_strided(x, {x.size(0), heads, x.size(1), head_dim},
                           {x.stride(0), head_dim * x.stride(2), x.stride(1), x.stride(2)});
}

void report_attention(const char* op, std::vector<Tensor> inputs, std::vector<Tensor> outputs,
                      const AttentionSpec& spec, trace::Attributes attributes = {}) {
  trace::report(op, with_score(std::move(inputs), spec.score), std::move(outputs),
                std::move(attributes), std::make_shared<const AttentionSpec>(spec));
}

/// The inputs of a rotation for a trace: x, the cosines and sines; for positions that a graph's
/// inputs give, in the place of these the positions and the angle from one to the next, f64 [d /
/// 2].
std::vector<Tensor> turned_by(const Tensor& x, const kernels::RotaryTable& table,
                              const Tensor& positions, const RotaryOptions& options) {
  if (!trace::follows(positions)) return {x, table.cos, table.sin};
  const int64_t pairs = table.cos.size(-1);
  std::vector<double> angles;
  for (int64_t i = 0; i < pairs; ++i) {
    const double exponent = -static_cast<double>(i) / static_cast<double>(pairs);
    angles.push_back(options.scaling(std::pow(options.base, exponent)));
  }
  return {x, {}, {}, positions, Tensor::from(angles, {pairs})};
}

/// The entry that each pair looks up: i32 [N, M].
Tensor looked_up(const RelativeIndex& index, int64_t entries, const Tensor& q, const Tensor& k) {
  const kernels::attn::TableIndex entry{&index, entries};
  std::vector<int32_t> all;
  for (int64_t i = 0; i < q.size(2); ++i)
    for (int64_t j = 0; j < k.size(2); ++j) all.push_back(static_cast<int32_t>(entry(i, j)));
  return Tensor::from(all, {q.size(2), k.size(2)});
}

}  // namespace

AttentionResult attention(const Tensor& q, const Tensor& k, const Tensor& v,
                          const AttentionSpec& spec) {
  const kernels::AttentionOutput y = kernels::attention(q, k, v, spec);
  if (trace::on()) report_attention("attention", {q, k, v}, {y.out, y.lse}, spec);
  auto outputs = record_many(
      "attention", with_score({q, k, v}, spec.score), {y.out, y.lse},
      [q = save(q), k = save(k), v = save(v), out = save(y.out), lse = save(y.lse),
       saved = SavedSpec(spec)](const Gradients& grads, const Wanted& wanted) {
        const AttentionSpec how = saved.restore();
        const Tensor dout = grads[0].defined()
                                ? grads[0]
                                : Tensor::zeros(out->shape(), out->dtype(), out->device());
        const auto g = kernels::attention_backward(dout, grads[1], *q, *k, *v, {*out, *lse}, how,
                                                   wanted[0], wanted[1] || wanted[2], {},
                                                   score_wants(how.score, wanted, 3));
        Gradients all{g.dq, g.dk, g.dv};
        append_score(all, g, how.score);
        return all;
      });
  return {outputs[0], outputs[1]};
}

Tensor attention_qkv(const Tensor& qkv, int64_t heads, int64_t kv_heads,
                     const AttentionSpec& spec) {
  const PackedParts parts("attention_qkv", qkv, heads, kv_heads);
  const kernels::AttentionOutput y = kernels::attention(parts.q, parts.k, parts.v, spec);
  const Tensor merged = merge_heads(y.out);
  if (trace::on()) {
    report_attention("attention_qkv", {qkv}, {merged}, spec,
                     {{"heads", heads}, {"kv_heads", kv_heads}});
  }
  return record("attention_qkv", with_score({qkv}, spec.score), merged,
                [qkv = save(qkv), out = save(y.out), lse = save(y.lse), heads, kv_heads,
                 kept = SavedSpec(spec)](const Tensor& dy, const Wanted& wanted) {
                  const AttentionSpec how = kept.restore();
                  const PackedParts saved("attention_qkv", *qkv, heads, kv_heads);
                  const Tensor dqkv = Tensor::empty(qkv->shape(), qkv->dtype(), qkv->device());
                  const PackedParts into("attention_qkv", dqkv, heads, kv_heads);
                  const auto g = kernels::attention_backward(
                      split_heads(dy, heads), Tensor(), saved.q, saved.k, saved.v, {*out, *lse},
                      how, true, true, {into.q, into.k, into.v}, score_wants(how.score, wanted, 1));
                  Gradients all{dqkv};
                  append_score(all, g, how.score);
                  return all;
                });
}

Tensor attention_column_sums(const Tensor& q, const Tensor& k, const Tensor& lse,
                             const AttentionSpec& spec, const Tensor& weight) {
  std::vector<Tensor> inputs{q, k};
  if (weight.defined()) inputs.push_back(weight);
  const int first = static_cast<int>(inputs.size());
  const Tensor sums = kernels::attention_column_sums(q, k, lse, spec, weight);
  if (trace::on()) report_attention("attention_column_sums", {q, k, weight}, {sums}, spec);
  return record("attention_column_sums", with_score(inputs, spec.score), sums,
                [q = save(q), k = save(k), lse = lse.detach(),
                 weight = weight.defined() ? save(weight) : Saved(), saved = SavedSpec(spec),
                 first](const Tensor& dsums, const Wanted& wanted) {
                  const AttentionSpec how = saved.restore();
                  const auto g = kernels::attention_column_sums_backward(
                      dsums, *q, *k, lse, how, weight.defined() ? *weight : Tensor(),
                      score_wants(how.score, wanted, first), wanted[0], wanted[1]);
                  Gradients all{g.inputs.dq, g.inputs.dk};
                  if (weight.defined()) all.push_back(kernels::cast(g.dweight, weight->dtype()));
                  append_score(all, g.inputs, how.score);
                  return all;
                });
}

Tensor attention_bucket_sums(const Tensor& q, const Tensor& k, const Tensor& lse,
                             const AttentionSpec& spec,
                             const std::shared_ptr<const RelativeIndex>& index, int64_t entries) {
  HEED_CHECK(index != nullptr, "attention_bucket_sums: without an index");
  const Tensor sums = kernels::attention_bucket_sums(q, k, lse, spec, *index, entries);
  if (trace::on()) {
    report_attention("attention_bucket_sums", {q, k, looked_up(*index, entries, q, k)}, {sums},
                     spec, {{"entries", entries}});
  }
  return record("attention_bucket_sums", with_score({q, k}, spec.score), sums,
                [q = save(q), k = save(k), lse = lse.detach(), sums = save(sums), index,
                 saved = SavedSpec(spec)](const Tensor& dsums, const Wanted& wanted) {
                  const AttentionSpec how = saved.restore();
                  const auto g = kernels::attention_bucket_sums_backward(
                      dsums, *sums, *q, *k, lse, how, *index, score_wants(how.score, wanted, 2),
                      wanted[0], wanted[1]);
                  Gradients all{g.dq, g.dk};
                  append_score(all, g, how.score);
                  return all;
                });
}

Tensor relative_logits(const Tensor& q, const Tensor& table) {
  HEED_CHECK(q.rank() == 4 && (table.rank() == 2 || table.rank() == 3) &&
                 table.size(-1) == q.size(3) && (table.rank() == 2 || table.size(0) == q.size(1)),
             "relative_logits: q is {}, the table {}: wants [entries, D] or [H, entries, D]", q,
             table);
  return matmul(q, transpose(table, -2, -1));
}

AttentionResult merge_attentions(const std::vector<AttentionResult>& parts,
                                 const std::vector<double>& factors) {
  std::vector<kernels::AttentionOutput> given;
  std::vector<Tensor> inputs;
  std::vector<std::pair<Saved, Saved>> kept;
  for (const AttentionResult& part : parts) {
    given.push_back({part.out, part.lse});
    inputs.insert(inputs.end(), {part.out, part.lse});
    kept.emplace_back(save(part.out), save(part.lse));
  }
  const kernels::AttentionOutput y = kernels::merge_attentions(given, factors);
  if (trace::on()) {
    std::vector<Tensor> with_factors = inputs;
    with_factors.push_back(
        factors.empty() ? Tensor()
                        : kernels::cast(Tensor::from(factors, {std::ssize(factors)}), DType::f32));
    trace::report("merge_attentions", with_factors, {y.out, y.lse});
  }
  const auto outputs = record_many(
      "merge_attentions", inputs, {y.out, y.lse},
      [kept, lse = save(y.lse), factors](const Gradients& grads, const Wanted&) {
        std::vector<kernels::AttentionOutput> saved;
        for (const auto& [part_out, part_lse] : kept) saved.push_back({*part_out, *part_lse});
        const Tensor& out = saved[0].out;
        const Tensor dout =
            grads[0].defined() ? grads[0] : Tensor::zeros(out.shape(), out.dtype(), out.device());
        Gradients all;
        for (const auto& part :
             kernels::merge_attentions_backward(dout, grads[1], saved, *lse, factors)) {
          all.push_back(part.out);
          all.push_back(part.lse);
        }
        return all;
      });
  return {outputs[0], outputs[1]};
}

Tensor rotary(const Tensor& x, const Tensor& positions, const RotaryOptions& options) {
  HEED_CHECK(x.rank() == 4, "rotary: x must be [B, H, N, D], got {}", x);
  const kernels::RotaryTable table =
      kernels::rotary_table(positions, x.size(0), x.size(2), x.size(3), options.rotary_dim,
                            options.base, options.interleaved, x.dtype(), options.scaling);
  auto rotate = [table](const Tensor& from, bool inverse) {
    const Tensor to =
        views::transpose(Tensor::empty({from.size(0), from.size(2), from.size(1), from.size(3)},
                                       from.dtype(), from.device()),
                         1, 2);
    kernels::rotate(from, to, table, inverse);
    return to;
  };
  const Tensor turned = rotate(x, false);
  if (trace::on()) {
    trace::report("rotary", turned_by(x, table, positions, options), {turned},
                  {{"interleaved", table.interleaved}});
  }
  return record("rotary", {x}, turned,
                [rotate](const Tensor& dy) { return Gradients{rotate(dy, true)}; });
}

Tensor rotary_qkv(const Tensor& qkv, int64_t heads, int64_t kv_heads, const Tensor& positions,
                  const RotaryOptions& options) {
  const int64_t head_dim = PackedParts("rotary_qkv", qkv, heads, kv_heads).q.size(3);
  const kernels::RotaryTable table =
      kernels::rotary_table(positions, qkv.size(0), qkv.size(1), head_dim, options.rotary_dim,
                            options.base, options.interleaved, qkv.dtype(), options.scaling);
  // Query and key heads are neighbours: one rotation covers both; the values are copied.
  auto rotate = [table, heads, kv_heads, head_dim](const Tensor& from, bool inverse) {
    const Tensor to = Tensor::empty(from.shape(), from.dtype(), from.device());
    const int64_t slots = heads + 2 * kv_heads, rotated = heads + kv_heads;
    auto view = [&](const Tensor& t) {
      return views::as_strided(t, {t.size(0), slots, t.size(1), head_dim},
                               {t.stride(0), head_dim * t.stride(2), t.stride(1), t.stride(2)});
    };
    kernels::rotate(view(from), view(to), table, inverse, rotated);
    return to;
  };
  const Tensor turned = rotate(qkv, false);
  if (trace::on()) {
    trace::report("rotary_qkv", turned_by(qkv, table, positions, options), {turned},
                  {{"interleaved", table.interleaved}, {"heads", heads}, {"kv_heads", kv_heads}});
  }
  return record("rotary_qkv", {qkv}, turned,
                [rotate](const Tensor& dy) { return Gradients{rotate(dy, true)}; });
}

}  // namespace heed
