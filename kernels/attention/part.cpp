#include "kernels/attention/part.h"

#include "core/views.h"
#include "kernels/elementwise/accumulate.h"

namespace heed::kernels {
namespace {

/// The rows along dim that belong to the part's queries: all of a tensor that broadcasts.
Tensor rows_of(const Tensor& t, int dim, const AttentionPart& part, int64_t first_row) {
  if (!t.defined() || t.size(dim) == 1) return t;
  HEED_CHECK(first_row + part.queries.count <= t.size(dim), "attention: rows {} to {} of {}",
             first_row, first_row + part.queries.count, t);
  return views::slice(t, dim, first_row, first_row + part.queries.count);
}

/// The keys along dim that belong to the part.
Tensor keys_of(const Tensor& t, int dim, const AttentionPart& part) {
  if (!t.defined() || t.size(dim) == 1) return t;
  HEED_CHECK(t.size(dim) == part.whole_keys, "attention: {} for {} keys", t, part.whole_keys);
  const TokenRun& run = part.keys;
  return views::slice(t, dim, run.first, run[run.count - 1] + 1, run.step);
}

std::vector<int32_t> some_of(const std::vector<int32_t>& all, const TokenRun& run, int64_t whole) {
  HEED_CHECK(static_cast<int64_t>(all.size()) == whole,
             "attention: a relative index of {} tokens for {}", all.size(), whole);
  std::vector<int32_t> some;
  for (int64_t i = 0; i < run.count; ++i) some.push_back(all[static_cast<size_t>(run[i])]);
  return some;
}

std::shared_ptr<const RelativeIndex> index_of(const std::shared_ptr<const RelativeIndex>& whole,
                                              const AttentionPart& part) {
  if (!whole) return whole;
  return std::make_shared<RelativeIndex>(
      RelativeIndex{some_of(whole->query, part.queries, part.whole_queries),
                    some_of(whole->key, part.keys, part.whole_keys), whole->map});
}

/// Slopes by position: local distances are `step` apart, and what is left of the offset when that
/// is taken out shifts all logits of a head alike.
void place_slopes(PartSpec& to, const AttentionSpec& whole, const AttentionPart& part) {
  const int64_t step = part.queries.step;
  HEED_CHECK(part.keys.step == step, "attention: slopes of a part in steps of {} and {}", step,
             part.keys.step);
  const int64_t ahead = part.queries.first + whole.pattern.query_offset - part.keys.first;
  const int64_t rest = ((ahead % step) + step) % step;
  to.spec.pattern.query_offset = (ahead - rest) / step;
  to.spec.score.alibi_step = step;
  if (rest == 0) return;
  for (const float slope : whole.score.alibi)
    to.shift.push_back(-static_cast<double>(slope) * static_cast<double>(rest));
}

void add_to(const Tensor& sum, const Tensor& more) { copy(add_out_of_place(sum, more), sum); }

}  // namespace

PartSpec part_spec(const AttentionSpec& whole, const AttentionPart& part, int64_t first_row) {
  PartSpec to{whole};
  AttentionScore& score = to.spec.score;
  to.spec.pattern = AttentionPattern::part(whole.pattern, part);
  if (part.keys.count == 0) {
    score = {};
    score.sink = whole.score.sink.defined() && whole.score.sink.rank() == 3
                     ? rows_of(whole.score.sink, 2, part, first_row)
                     : whole.score.sink;
    to.spec.dropout = 0.0;
    return to;
  }
  score.sink = {};
  score.query_temperature = rows_of(score.query_temperature, 2, part, first_row);
  score.key_temperature = keys_of(score.key_temperature, 2, part);
  score.bias = keys_of(rows_of(score.bias, 2, part, first_row), 3, part);
  score.relative = index_of(score.relative, part);
  for (RelativeLogits& axis : score.relative_logits) {
    axis.logits = rows_of(axis.logits, 2, part, first_row);
    axis.relative = index_of(axis.relative, part);
  }
  if (!score.alibi.empty()) place_slopes(to, whole, part);
  to.spec.dropout_queries = part.queries, to.spec.dropout_keys = part.keys;
  return to;
}

Tensor part_lse(const PartSpec& part, const Tensor& lse) {
  if (part.shift.empty()) return lse;
  const Tensor to = Tensor::empty(lse.shape(), lse.dtype());
  copy(lse, to);
  const int64_t rows = lse.size(2);
  const auto shift = [&](auto* numbers) {
    for (int64_t r = 0; r < to.numel(); ++r) {
      const double by = part.shift[static_cast<size_t>(r / rows % lse.size(1))];
      numbers[r] = static_cast<std::remove_reference_t<decltype(*numbers)>>(numbers[r] - by);
    }
  };
  if (lse.dtype() == DType::f64)
    shift(to.data<double>());
  else
    shift(to.data<float>());
  return to;
}

void add_part_gradients(const AttentionGradients& whole, const AttentionGradients& part,
                        const AttentionPart& which, int64_t first_row) {
  const auto rows = [&](const Tensor& t) { return rows_of(t, 2, which, first_row); };
  if (part.query_temperature.defined())
    add_to(rows(whole.query_temperature), part.query_temperature);
  if (part.key_temperature.defined())
    add_to(keys_of(whole.key_temperature, 2, which), part.key_temperature);
  if (part.bias.defined()) add_to(keys_of(rows(whole.bias), 3, which), part.bias);
  if (part.table.defined()) add_to(whole.table, part.table);
  if (part.sink.defined())
    add_to(whole.sink.rank() == 3 ? rows(whole.sink) : whole.sink, part.sink);
  for (size_t a = 0; a < kRelativeAxes; ++a)
    if (part.relative_logits[a].defined())
      add_to(rows(whole.relative_logits[a]), part.relative_logits[a]);
}

bool parts_draw_alike(const AttentionPattern& pattern, int64_t queries, int64_t keys) {
  return pattern.is_dense() ||
         (pattern.rule()->query_order(queries).empty() && pattern.rule()->key_order(keys).empty());
}

}  // namespace heed::kernels
