#include "kernels/attention/score_sums.h"

namespace heed::kernels::attn {
namespace {

bool by_query_and_key(const ScoreTerms<float>& t) { return t.bias.i != 0 && t.bias.j != 0; }

Tensor zeros_if(bool wanted, const Shape& shape) {
  return wanted ? Tensor::zeros(shape, DType::f32) : Tensor();
}

/// Sums [B, H, N] into a gradient that broadcasts.
void sum_rows(const Tensor& rows, const Broadcast4<float>& as, const Tensor& to) {
  if (!rows.defined()) return;
  const float* from = rows.data<float>();
  float* out = to.data<float>();
  for (int64_t b = 0; b < rows.size(0); ++b)
    for (int64_t h = 0; h < rows.size(1); ++h)
      for (int64_t i = 0; i < rows.size(2); ++i) out[b * as.b + h * as.h + i * as.i] += *from++;
}

/// Sums [tasks, group, n] into a gradient that broadcasts.
void sum_tasks(const Tensor& parts, const Broadcast4<float>& as, const Tasks& tasks,
               const Tensor& to) {
  if (!parts.defined()) return;
  const float* from = parts.data<float>();
  float* out = to.data<float>();
  const int64_t group = parts.size(1), n = parts.size(2);
  for (const Task& task : tasks.list) {
    for (int64_t g = 0; g < group; ++g) {
      float* row = out + task.b * as.b + (task.kv_head * group + g) * as.h;
      for (int64_t i = 0; i < n; ++i) row[i * as.j] += *from++;
    }
  }
}

/// Sums rows [B, H, n] into a gradient that broadcasts along batch or head.
void sum_relative(const Tensor& rows, const Broadcast4<float>& as, const Tensor& to) {
  if (!rows.defined() || rows.raw() == to.raw()) return;
  const float* from = rows.data<float>();
  const int64_t n = rows.size(2) * rows.size(3);
  for (int64_t b = 0; b < rows.size(0); ++b) {
    for (int64_t h = 0; h < rows.size(1); ++h) {
      float* out = to.data<float>() + b * as.b + h * as.h;
      for (int64_t i = 0; i < n; ++i) out[i] += *from++;
    }
  }
}

}  // namespace

bool shares_bias(const Problem& p, const ScoreTerms<float>& t, const AttentionGradients& grads) {
  return grads.bias.defined() && by_query_and_key(t) &&
         ((t.bias.b == 0 && p.e.batch > 1) || (t.bias.h == 0 && p.e.heads > 1));
}

ScoreSums::ScoreSums(const Problem& p, const ScoreTerms<float>& t, const Tasks& tasks,
                     const AttentionGradients& grads) {
  const Shape rows{p.e.batch, p.e.heads, p.e.queries};
  const auto by_task = [&](int64_t n) { return Shape{tasks.count(), p.e.group(), n}; };
  const bool matrix = grads.bias.defined() && by_query_and_key(t);
  const bool by_key = grads.bias.defined() && !matrix && t.bias.j != 0;
  query_temperature = zeros_if(grads.query_temperature.defined(), rows);
  query_bias = zeros_if(grads.bias.defined() && !matrix && !by_key, rows);
  sink = zeros_if(grads.sink.defined(), rows);
  key_temperature = zeros_if(grads.key_temperature.defined(), by_task(p.e.keys));
  key_bias = zeros_if(by_key, by_task(p.e.keys));
  table = zeros_if(grads.table.defined(), by_task(t.table_index.entries));
  if (matrix) bias = grads.bias;
  for (size_t a = 0; a < kRelativeAxes; ++a) {
    const Tensor& gradient = grads.relative_logits[a];
    if (!gradient.defined()) continue;
    const Shape whole{p.e.batch, p.e.heads, p.e.queries, gradient.size(3)};
    relative_logits[a] = gradient.shape() == whole ? gradient : Tensor::zeros(whole, DType::f32);
  }
  const bool shares = shares_bias(p, t, grads);
  for (const Task& task : tasks.list) {
    const int64_t b = t.bias.b == 0 ? 0 : task.b, h = t.bias.h == 0 ? 0 : task.kv_head;
    chain.push_back(shares ? b * p.e.kv_heads + h : static_cast<int64_t>(chain.size()));
  }
}

void ScoreSums::finish(const ScoreTerms<float>& t, const Tasks& tasks,
                       const AttentionGradients& grads) const {
  sum_rows(query_temperature, t.query_temperature, grads.query_temperature);
  sum_rows(query_bias, t.bias, grads.bias);
  sum_rows(sink, t.sink, grads.sink);
  sum_tasks(key_temperature, t.key_temperature, tasks, grads.key_temperature);
  sum_tasks(key_bias, t.bias, tasks, grads.bias);
  sum_tasks(table, t.table, tasks, grads.table);
  for (size_t a = 0; a < kRelativeAxes; ++a)
    sum_relative(relative_logits[a], t.relative_logits[a], grads.relative_logits[a]);
}

void ScoreSums::add_columns(const Tasks& tasks, const Extents& e, float* to) const {
  const float* from = columns.data<float>();
  for (const Task& task : tasks.list) {
    float* heads = to + (task.b * e.heads + task.kv_head * e.group()) * e.keys;
    for (int64_t i = 0; i < e.group() * e.keys; ++i) heads[i] += *from++;
  }
}

}  // namespace heed::kernels::attn
