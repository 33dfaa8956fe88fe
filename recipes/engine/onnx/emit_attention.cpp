// Attention by its definition: scores of all pairs, -infinity (a very small number) where the
// pattern has none, their softmax, its product with the values.
#include <array>
#include <cmath>
#include <limits>

#include "autograd/score_tensors.h"
#include "kernels/attention/scores.h"
#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

// A logit of no weight, in place of -infinity: a row of them alone is no NaN.
constexpr double kNone = -1e38;

struct Extents {
  int64_t batch, heads, kv_heads, queries, keys;
};

/// Names of a score's tensors, in the order in which they follow the op's own inputs.
struct ScoreNames {
  std::string query_temperature, key_temperature, bias, table, sink;
  std::array<std::string, kRelativeAxes> relative;
  std::array<int64_t, kRelativeAxes> relative_entries = {};
  std::array<Shape, kRelativeAxes> relative_shapes;
  int64_t table_entries = 0;
  int sink_rank = 0;

  ScoreNames(Op& op, size_t first) {
    AttentionScore score = op.attention().score;
    std::array<std::string*, kScoreTensors> names = {
        &query_temperature, &key_temperature, &bias,       &table, &sink,
        &relative[0],       &relative[1],     &relative[2]};
    const auto tensors = score_tensors(score);
    for (size_t t = 0; t < kScoreTensors; ++t)
      if (tensors[t]->defined()) *names[t] = op.in(first++);
    if (score.table.defined()) table_entries = score.table.size(-1);
    if (score.sink.defined()) sink_rank = score.sink.rank();
    for (size_t axis = 0; axis < kRelativeAxes; ++axis) {
      const Tensor& logits = score.relative_logits[axis].logits;
      if (!logits.defined()) continue;
      relative_entries[axis] = logits.size(-1);
      relative_shapes[axis] = logits.shape();
    }
  }
};

/// Entries that pairs look up, [N, M].
Tensor index_of(const RelativeIndex& relative, int64_t entries, const Extents& e) {
  const kernels::attn::TableIndex entry{&relative, entries};
  std::vector<int32_t> all;
  for (int64_t i = 0; i < e.queries; ++i)
    for (int64_t j = 0; j < e.keys; ++j) all.push_back(static_cast<int32_t>(entry(i, j)));
  return Tensor::from(all, {e.queries, e.keys});
}

/// Which pairs there are: a bool constant that broadcasts to [B, H, N, M], and whether a row has
/// none. "" for all.
std::string mask_of(Op& op, const AttentionPattern& pattern, const Extents& e, bool& empty_rows) {
  if (pattern.is_dense()) return "";
  const auto& rule = *pattern.rule();
  const int64_t batch = rule.varies_by_batch() ? e.batch : 1;
  const int64_t heads = rule.varies_by_head() ? e.heads : 1;
  const Tensor mask = Tensor::empty({batch, heads, e.queries, e.keys}, DType::boolean);
  auto* to = static_cast<uint8_t*>(mask.raw());
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < e.queries; ++i) {
        bool any = false;
        for (int64_t j = 0; j < e.keys; ++j) {
          const bool allowed = pattern.allowed(b, h, i, j);
          *to++ = allowed ? 1 : 0;
          any = any || allowed;
        }
        empty_rows = empty_rows || !any;
      }
    }
  }
  return op.graph().constant(mask);
}

/// The tokens in front of each row's length, as a bool of `shape` but for the batch.
std::string within(Op& op, int lengths, int64_t tokens, const std::vector<int64_t>& shape) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < tokens; ++i) all.push_back(i);
  const std::string each = op.graph().constant(Tensor::from(all, Shape(shape)));
  const std::string counts = op.node("Cast", {op.value(lengths)}, {{"to", int64_t{7}}});
  return op.node("Less", {each, op.reshape(counts, {-1, 1, 1, 1})});
}

std::string both(Op& op, const std::string& a, const std::string& b) {
  return a.empty() ? b : b.empty() ? a : op.node("And", {a, b});
}

/// log(e^a + e^b).
std::string log_sum(Op& op, const std::string& a, const std::string& b) {
  const std::string apart = op.node("Neg", {op.node("Abs", {op.node("Sub", {a, b})})});
  return op.add(op.node("Max", {a, b}),
                op.node("Log", {op.add(op.node("Exp", {apart}), op.scalar(1.0))}));
}

/// The logit of what has no value, [B or 1, H or 1, N or 1, 1]: the sink and virtual keys; "".
std::string valueless(Op& op, const ScoreNames& names, const AttentionPattern& pattern,
                      const Extents& e) {
  std::string sink = names.sink;
  if (!sink.empty())
    sink = op.reshape(sink, [&] {
      const Shape shape = op.attention().score.sink.shape();
      if (names.sink_rank == 1) return std::vector<int64_t>{1, shape[0], 1, 1};
      std::vector<int64_t> wide = shape.vector();
      while (wide.size() < 4) wide.push_back(1);
      return wide;
    }());
  if (pattern.is_dense() || !pattern.rule()->has_virtual_keys()) return sink;
  const Tensor counts = Tensor::empty({1, 1, e.queries, 1});
  for (int64_t i = 0; i < e.queries; ++i) {
    const int64_t count = pattern.rule()->virtual_keys(i);
    counts.data<float>()[i] =
        count > 0 ? std::log(static_cast<float>(count)) : static_cast<float>(kNone);
  }
  const std::string keys = op.graph().constant(counts);
  return sink.empty() ? keys : log_sum(op, sink, keys);
}

/// Rows of one key/value head beside those of its query heads: [B, Hkv, H / Hkv, N, D].
std::string grouped(Op& op, const std::string& x, const Extents& e, int64_t rows) {
  return op.reshape(x, {e.batch, e.kv_heads, e.heads / e.kv_heads, rows, -1});
}

/// q k^T: [B, H, N, M].
std::string product_of(Op& op, const std::string& q, const std::string& k, const Extents& e,
                       int64_t head_dim) {
  const std::string keys = op.transpose(k, {0, 1, 3, 2});
  if (e.kv_heads == e.heads) return op.node("MatMul", {q, keys});
  const std::string each = op.reshape(keys, {e.batch, e.kv_heads, 1, head_dim, e.keys});
  return op.reshape(op.node("MatMul", {grouped(op, q, e, e.queries), each}),
                    {e.batch, e.heads, e.queries, e.keys});
}

/// Scores with their scale, temperatures and cap.
std::string scaled(Op& op, std::string s, const ScoreNames& names, int64_t head_dim) {
  const AttentionScore& score = op.attention().score;
  const double scale =
      score.scale != 0.0 ? score.scale : 1.0 / std::sqrt(static_cast<double>(head_dim));
  s = op.mul(s, op.scalar(scale));
  const auto temperature = [&](const std::string& name, const Tensor& given, bool of_keys) {
    if (name.empty()) return;
    std::vector<int64_t> shape = given.shape().vector();
    while (shape.size() < 3) shape.insert(shape.begin(), 1);
    shape.insert(of_keys ? shape.end() - 1 : shape.end(), 1);
    s = op.mul(s, op.reshape(name, shape));
  };
  temperature(names.query_temperature, score.query_temperature, false);
  temperature(names.key_temperature, score.key_temperature, true);
  if (score.softcap != 0.0) {
    const std::string cap = op.scalar(score.softcap);
    s = op.mul(op.node("Tanh", {op.node("Div", {s, cap})}), cap);
  }
  return s;
}

/// Scores and what is added to them.
std::string with_terms(Op& op, std::string s, const ScoreNames& names, const Extents& e) {
  const AttentionScore& score = op.attention().score;
  if (!names.bias.empty()) s = op.add(s, names.bias);
  if (!names.table.empty()) {
    const Tensor index = index_of(*score.relative, names.table_entries, e);
    s = op.add(
        s, op.node("Gather", {names.table, op.graph().constant(index)}, {{"axis", int64_t{1}}}));
  }
  if (!score.alibi.empty()) {
    std::vector<float> slopes = score.alibi, distances;
    for (float& slope : slopes) slope *= -static_cast<float>(score.alibi_step);
    for (int64_t i = 0; i < e.queries; ++i)
      for (int64_t j = 0; j < e.keys; ++j)
        distances.push_back(static_cast<float>(i + op.attention().pattern.query_offset - j));
    const std::string slope = op.graph().constant(Tensor::from(slopes, {std::ssize(slopes), 1, 1}));
    s = op.add(s, op.mul(slope, op.graph().constant(Tensor::from(distances, {e.queries, e.keys}))));
  }
  for (size_t axis = 0; axis < kRelativeAxes; ++axis) {
    if (names.relative[axis].empty()) continue;
    const Tensor index =
        index_of(*score.relative_logits[axis].relative, names.relative_entries[axis], e);
    std::vector<int64_t> shape = names.relative_shapes[axis].vector();
    shape.back() = e.keys;
    const std::string wide =
        op.node("Expand", {op.graph().constant(index), op.graph().integers(shape)});
    s = op.add(s, op.node("GatherElements", {names.relative[axis], wide}, {{"axis", int64_t{3}}}));
  }
  return s;
}

struct Probabilities {
  std::string all;  // [B, H, N, M]
  std::string lse;  // [B, H, N]; "" unless wanted
};

/// Of queries and keys; the score's tensors are the inputs from `first_score` on.
Probabilities probabilities(Op& op, const std::string& q, const std::string& k, const Extents& e,
                            int64_t head_dim, size_t first_score, bool want_lse) {
  HEED_CHECK(op.attention().dropout == 0.0, "onnx: attention drops probabilities");
  const ScoreNames names(op, first_score);
  const Limit* limit = op.limit();
  const AttentionPattern& pattern = limit ? limit->whole : op.attention().pattern;
  std::string s =
      with_terms(op, scaled(op, product_of(op, q, k, e, head_dim), names, head_dim), names, e);

  bool empty_rows = limit != nullptr;
  std::string mask = mask_of(op, pattern, e, empty_rows);
  if (limit) {
    if (limit->queries >= 0)
      mask = both(op, mask, within(op, limit->queries, e.queries, {1, 1, e.queries, 1}));
    mask = both(op, mask, within(op, limit->keys, e.keys, {1, 1, 1, e.keys}));
  }
  if (!mask.empty()) s = op.node("Where", {mask, s, op.scalar(kNone)});
  const std::string column = valueless(op, names, pattern, e);
  if (!column.empty()) {
    const std::string wide =
        op.node("Expand", {column, op.graph().integers({e.batch, e.heads, e.queries, 1})});
    s = op.node("Concat", {s, wide}, {{"axis", int64_t{3}}});
  }
  std::string p = op.node("Softmax", {s}, {{"axis", int64_t{3}}});
  if (!column.empty()) p = op.slice(p, 3, 0, e.keys);
  if (empty_rows && !mask.empty()) p = op.node("Where", {mask, p, op.scalar(0.0)});
  std::string lse;
  if (want_lse) {
    lse = op.reduce("ReduceLogSumExp", s, {3}, false);
    if (empty_rows) {
      const std::string none = op.node("Less", {lse, op.scalar(kNone / 2)});
      lse = op.node("Where", {none, op.scalar(-std::numeric_limits<double>::infinity()), lse});
    }
  }
  return {p, lse};
}

/// p v: [B, H, N, Dv].
std::string values_of(Op& op, const std::string& p, const std::string& v, const Extents& e) {
  if (e.kv_heads == e.heads) return op.node("MatMul", {p, v});
  const std::string each = op.node("Unsqueeze", {v, op.graph().integers({2})});
  return op.reshape(op.node("MatMul", {grouped(op, p, e, e.queries), each}),
                    {e.batch, e.heads, e.queries, -1});
}

Extents extents_of(Op& op) {
  const Shape &q = op.shape(0), &k = op.shape(1);
  return {q[0], q[1], k[1], q[2], k[2]};
}

void attention(Op& op) {
  const Extents e = extents_of(op);
  const Probabilities p = probabilities(op, op.in(0), op.in(1), e, op.shape(0)[3], 3, op.wanted(1));
  op.out(0, values_of(op, p.all, op.in(2), e));
  if (op.wanted(1)) op.out(1, p.lse);
}

void attention_qkv(Op& op) {
  const int64_t heads = op.integer("heads"), kv_heads = op.integer("kv_heads");
  const int64_t batch = op.shape(0)[0], tokens = op.shape(0)[1];
  const int64_t head_dim = op.shape(0)[2] / (heads + 2 * kv_heads);
  const Extents e{batch, heads, kv_heads, tokens, tokens};
  const std::string packed = op.reshape(op.in(0), {batch, tokens, heads + 2 * kv_heads, head_dim});
  Names parts =
      op.graph().nodes("Split", {packed, op.graph().integers({heads, kv_heads, kv_heads})}, 3,
                       {{"axis", int64_t{2}}});
  for (std::string& part : parts) part = op.transpose(part, {0, 2, 1, 3});
  const Probabilities p = probabilities(op, parts[0], parts[1], e, head_dim, 1, false);
  const std::string y = values_of(op, p.all, parts[2], e);
  op.out(op.reshape(op.transpose(y, {0, 2, 1, 3}), {batch, tokens, heads * head_dim}));
}

/// sum_i weight_i p_ij; inputs q, k, the weight or none.
void column_sums(Op& op) {
  const Extents e = extents_of(op);
  const Probabilities p = probabilities(op, op.in(0), op.in(1), e, op.shape(0)[3], 3, false);
  std::string weighed = p.all;
  if (op.has(2)) weighed = op.mul(weighed, op.reshape(op.in(2), {e.batch, e.heads, e.queries, 1}));
  op.out(op.reduce("ReduceSum", weighed, {2}, false));
}

/// sum of p_ij over the keys of an entry; inputs q, k, the entries of pairs [N, M].
void bucket_sums(Op& op) {
  const Extents e = extents_of(op);
  const Probabilities p = probabilities(op, op.in(0), op.in(1), e, op.shape(0)[3], 3, false);
  const std::string none = op.graph().constant(
      Tensor::zeros({e.batch, e.heads, e.queries, op.integer("entries")}, op.tensor(0).dtype()));
  const std::string index =
      op.node("Expand", {op.in(2), op.graph().integers({e.batch, e.heads, e.queries, e.keys})});
  op.out(op.node("ScatterElements", {none, index, p.all},
                 {{"axis", int64_t{3}}, {"reduction", std::string("add")}}));
}

/// out = sum_p f_p e^(lse_p - lse) out_p; inputs out and lse of each part, then the factors.
void merge(Op& op) {
  const size_t parts = (op.inputs() - 1) / 2;
  const std::string last = op.graph().integers({-1});
  Names outs, lses;
  for (size_t i = 0; i < parts; ++i) {
    outs.push_back(op.node("Unsqueeze", {op.in(2 * i), last}));
    lses.push_back(op.node("Unsqueeze", {op.in(2 * i + 1), last}));
  }
  const std::string lse = op.node("Concat", lses, {{"axis", int64_t{-1}}});  // [B, H, N, P]
  const std::string out = op.node("Concat", outs, {{"axis", int64_t{-1}}});  // [B, H, N, D, P]
  const std::string most =
      op.node("Max", {op.reduce("ReduceMax", lse, {-1}, true), op.scalar(kNone)});
  const std::string weight = op.node("Exp", {op.node("Sub", {lse, most})});
  const std::string sum = op.reduce("ReduceSum", weight, {-1}, true);
  std::string share = op.node("Div", {weight, op.node("Max", {sum, op.scalar(1e-38)})});
  if (op.has(op.inputs() - 1)) share = op.mul(share, op.in(op.inputs() - 1));
  const std::string wide = op.node("Unsqueeze", {share, op.graph().integers({3})});
  op.out(0, op.reduce("ReduceSum", op.mul(out, wide), {-1}, false));
  if (op.wanted(1)) {
    const std::string whole = op.add(op.node("Log", {sum}), most);
    op.out(1, op.node("Squeeze", {whole, last}));
  }
}

}  // namespace

Emitters attention_emitters() {
  return {
      {"attention", attention},
      {"attention_qkv", attention_qkv},
      {"attention_column_sums", column_sums},
      {"attention_bucket_sums", bucket_sums},
      {"merge_attentions", merge},
  };
}

}  // namespace heed::recipes::onnx
