// Parts of attentions: some queries and some keys of a larger one, by themselves, add up to it.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/views.h"
#include "kernels/attention/merge.h"
#include "kernels/attention/part.h"
#include "kernels/attention/plan.h"
#include "kernels/attention/tile_plan.h"
#include "kernels/elementwise/accumulate.h"
#include "tests/kernels/attention_random_spec.h"
#include "tests/samples.h"

namespace heed {
namespace {

using kernels::AttentionGradients;
using kernels::AttentionOutput;
using testing::Draw;
using testing::normal;

/// A sequence cut into runs: pieces side by side, or every step-th token.
std::vector<TokenRun> random_runs(Draw& draw, int64_t tokens, int64_t step) {
  std::vector<TokenRun> runs;
  if (step > 1) {
    for (int64_t first = 0; first < std::min(step, tokens); ++first)
      runs.push_back({first, step, (tokens - first + step - 1) / step});
    return runs;
  }
  for (int64_t first = 0; first < tokens;) {
    const int64_t count = std::min(draw(1, 90), tokens - first);
    runs.push_back({first, 1, count});
    first += count;
  }
  return runs;
}

Tensor rows_of(const Tensor& x, const TokenRun& run) {
  return views::slice(x, 2, run.first, run[run.count - 1] + 1, run.step);
}

void add_rows(const Tensor& sum, const TokenRun& run, const Tensor& more) {
  const Tensor rows = rows_of(sum, run);
  kernels::copy(kernels::add_out_of_place(rows, more), rows);
}

void expect_near(const Tensor& got, const Tensor& want, double tolerance, const char* what) {
  const auto a = got.to_vector<double>(), b = want.to_vector<double>();
  ASSERT_EQ(a.size(), b.size()) << what;
  double largest = 1.0;
  for (const double x : b) largest = std::isinf(x) ? largest : std::max(largest, std::abs(x));
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i]) continue;
    ASSERT_LE(std::abs(a[i] - b[i]), tolerance * largest) << what << " " << i;
  }
}

// The plan of a part holds the pairs that the whole pattern has there, and no tile is wrongly full
// or empty.
TEST(AttentionPart, SeesWhatTheWholePatternHas) {
  for (uint64_t seed = 0; seed < testing::seeds(120); ++seed) {
    Draw draw(seed);
    const PatternExtents e = testing::random_extents(draw);
    const AttentionPattern whole = testing::random_pattern(draw, e);
    const int64_t step = draw.one_in(2) ? 1 : draw(2, 4);
    for (const TokenRun& queries : random_runs(draw, e.queries, step)) {
      for (const TokenRun& keys : random_runs(draw, e.keys, step)) {
        const auto part = AttentionPattern::part(whole, {queries, keys, e.queries, e.keys});
        const auto plan =
            kernels::attn::tile_plan(part, {e.batch, e.heads, queries.count, keys.count});
        int64_t pairs = 0;
        for (int64_t b = 0; b < e.batch; ++b)
          for (int64_t h = 0; h < e.heads; ++h)
            for (int64_t i = 0; i < queries.count; ++i)
              for (int64_t j = 0; j < keys.count; ++j)
                pairs += whole.allowed(b, h, queries[i], keys[j]);
        ASSERT_EQ(plan->pairs(), pairs) << "seed " << seed << " " << part.text();
      }
    }
  }
}

TEST(AttentionPart, OfNeighbouringTokensHasExactTiles) {
  // Causal, cut at 64: the tile on the diagonal is partial, those below it full, those above gone.
  const AttentionPattern causal = AttentionPattern::causal();
  for (const int64_t keys : {0, 64, 128}) {
    const auto part = AttentionPattern::part(causal, {{64, 1, 64}, {keys, 1, 64}, 192, 192});
    const auto plan = kernels::attn::tile_plan(part, {1, 1, 64, 64});
    EXPECT_EQ(plan->full_tiles(), keys == 0);
    EXPECT_EQ(plan->partial_tiles(), keys == 64);
  }
}

void check_parts(uint64_t seed, DType dtype, double tolerance) {
  Draw draw(seed);
  PatternExtents e = testing::random_extents(draw);
  const int64_t group = draw(1, 3);
  e.heads *= group;
  const bool bordered = draw.one_in(5);
  AttentionSpec spec;
  spec.pattern =
      bordered ? testing::random_bordered_pattern(draw, e) : testing::random_pattern(draw, e);
  spec.score = testing::random_score(draw, e);
  if (draw.one_in(2) && kernels::parts_draw_alike(spec.pattern, e.queries, e.keys)) {
    spec.dropout = 0.3;
    spec.dropout_key = {seed, 5, 6};
  }
  const int64_t D = draw(1, 20), Dv = draw(1, 20);
  const Tensor q = normal({e.batch, e.heads, e.queries, D}, "q", dtype);
  const Tensor k = normal({e.batch, e.heads / group, e.keys, D}, "k", dtype);
  const Tensor v = normal({e.batch, e.heads / group, e.keys, Dv}, "v", dtype);
  const Tensor dout = normal({e.batch, e.heads, e.queries, Dv}, "dout", dtype);
  const Tensor dlse = normal({e.batch, e.heads, e.queries}, "dlse", dtype);
  const kernels::ScoreWants wants{true, true, true, true, true, {true, true, true}};
  const AttentionOutput want = kernels::attention(q, k, v, spec);
  const AttentionGradients want_grads =
      kernels::attention_backward(dout, dlse, q, k, v, want, spec, true, true, {}, wants);

  AttentionGradients got;
  got.dq = Tensor::zeros(q.shape(), dtype);
  got.dk = Tensor::zeros(k.shape(), dtype);
  got.dv = Tensor::zeros(v.shape(), dtype);
  const auto zeros_like = [&](const Tensor& t) {
    return t.defined() ? Tensor::zeros(t.shape(), t.dtype()) : t;
  };
  got.query_temperature = zeros_like(want_grads.query_temperature);
  got.key_temperature = zeros_like(want_grads.key_temperature);
  got.bias = zeros_like(want_grads.bias);
  got.table = zeros_like(want_grads.table);
  got.sink = zeros_like(want_grads.sink);
  for (size_t a = 0; a < kRelativeAxes; ++a)
    got.relative_logits[a] = zeros_like(want_grads.relative_logits[a]);
  const int64_t step = draw.one_in(2) ? 1 : draw(2, 4);
  // Rows of the score's tensors are cut at `first_row`, which counts tokens only in steps of one.
  if (step > 1) {
    const auto wide = [](const Tensor& t, int rank) {
      return t.defined() && t.rank() == rank && t.size(2) > 1;
    };
    AttentionScore& s = spec.score;
    bool by_query = wide(s.query_temperature, 3) || wide(s.bias, 4) || wide(s.sink, 3);
    for (const auto& axis : s.relative_logits) by_query = by_query || axis.logits.defined();
    if (by_query) return;
  }
  std::vector<TokenRun> keys = random_runs(draw, e.keys, step);
  keys.push_back({});  // the sink and virtual keys
  for (const TokenRun& queries : random_runs(draw, e.queries, step)) {
    const Shape rows{e.batch, e.heads, queries.count};
    const AttentionOutput merged{
        Tensor::zeros({e.batch, e.heads, queries.count, Dv}, dtype),
        Tensor::full(rows, -std::numeric_limits<double>::infinity(), dtype)};
    const auto key_rows = [](const Tensor& x, const TokenRun& run) {
      return run.count == 0 ? views::slice(x, 2, 0, 0) : rows_of(x, run);
    };
    for (const TokenRun& run : keys) {
      const AttentionPart part{queries, run, e.queries, e.keys};
      const auto how = kernels::part_spec(spec, part, queries.first);
      kernels::merge_into(
          merged,
          kernels::attention(rows_of(q, queries), key_rows(k, run), key_rows(v, run), how.spec),
          how.shift);
      const AttentionOutput whole{rows_of(want.out, queries),
                                  kernels::part_lse(how, rows_of(want.lse, queries))};
      const auto g = kernels::attention_backward(
          rows_of(dout, queries), rows_of(dlse, queries), rows_of(q, queries), key_rows(k, run),
          key_rows(v, run), whole, how.spec, true, run.count > 0, {}, wants);
      add_rows(got.dq, queries, g.dq);
      if (run.count > 0) {
        add_rows(got.dk, run, g.dk);
        add_rows(got.dv, run, g.dv);
      }
      kernels::add_part_gradients(got, g, part, queries.first);
    }
    expect_near(merged.out, rows_of(want.out, queries), tolerance, "out");
    expect_near(merged.lse, rows_of(want.lse, queries), tolerance, "lse");
  }
  expect_near(got.dq, want_grads.dq, tolerance, "dq");
  expect_near(got.dk, want_grads.dk, tolerance, "dk");
  expect_near(got.dv, want_grads.dv, tolerance, "dv");
  const auto expect_score = [&](const Tensor& a, const Tensor& b, const char* what) {
    if (b.defined()) expect_near(a, b, tolerance, what);
  };
  expect_score(got.query_temperature, want_grads.query_temperature, "query_temperature");
  expect_score(got.key_temperature, want_grads.key_temperature, "key_temperature");
  expect_score(got.bias, want_grads.bias, "bias");
  expect_score(got.table, want_grads.table, "table");
  expect_score(got.sink, want_grads.sink, "sink");
  for (size_t a = 0; a < kRelativeAxes; ++a)
    expect_score(got.relative_logits[a], want_grads.relative_logits[a], "relative_logits");
}

TEST(AttentionPart, RandomPartsAddUpToTheWhole) {
  for (uint64_t seed = 0; seed < testing::seeds(150); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    check_parts(seed, DType::f64, 1e-11);
    // Sums of up to 140 products of numbers of order 1, in two orders.
    check_parts(seed, DType::f32, 2e-4);
    if (HasFatalFailure()) return;
  }
}

TEST(AttentionPart, MergesTheSheetsExample) {
  const Tensor q = Tensor::from(std::vector<double>{1, 0}, {1, 1, 1, 2});
  const Tensor k = Tensor::from(std::vector<double>{1, 0, 0, 1, 2, 0, 0, 0}, {1, 1, 4, 2});
  const Tensor v = Tensor::from(std::vector<double>{1, 0, 0, 1, 2, 2, 4, 0}, {1, 1, 4, 2});
  AttentionSpec spec;
  spec.score.scale = 1.0;
  const auto block = [&](int64_t first) {
    return kernels::attention(q, views::slice(k, 2, first, first + 2),
                              views::slice(v, 2, first, first + 2), spec);
  };
  const auto expect = [](const AttentionOutput& got, double x, double y, double lse) {
    const auto out = got.out.to_vector<double>();
    EXPECT_NEAR(out[0], x, 1e-6);
    EXPECT_NEAR(out[1], y, 1e-6);
    EXPECT_NEAR(got.lse.item(), lse, 1e-6);
  };
  const AttentionOutput first = block(0), second = block(2);
  expect(first, 0.731059, 0.268941, 1.313262);
  expect(second, 2.238406, 1.761594, 2.126928);
  const double none = -std::numeric_limits<double>::infinity();
  for (const bool reversed : {false, true}) {
    const AttentionOutput sum{Tensor::zeros({1, 1, 1, 2}, DType::f64),
                              Tensor::full({1, 1, 1}, none, DType::f64)};
    const AttentionOutput nothing{Tensor::zeros({1, 1, 1, 2}, DType::f64),
                                  Tensor::full({1, 1, 1}, none, DType::f64)};
    kernels::merge_into(sum, nothing);
    EXPECT_EQ(sum.out.to_vector<double>(), (std::vector<double>{0, 0}));
    kernels::merge_into(sum, reversed ? second : first);
    kernels::merge_into(sum, nothing);
    kernels::merge_into(sum, reversed ? first : second);
    expect(sum, 1.775485, 1.303186, 2.493812);
  }
}

// Draws of the whole, by token: through the scalar mask (f64) and the vectorised one (f32), with
// keys aligned to the quads of a draw and not.
TEST(AttentionPart, DropoutDrawsAsTheWholeDoes) {
  AttentionSpec spec;
  spec.dropout = 0.5;
  spec.dropout_key = {3, 4, 5};
  const int64_t tokens = 90;
  const kernels::attn::DropoutMask whole(spec, 1, 2);
  for (const int64_t first : {0, 4, 5, 7}) {
    for (const int64_t step : {1, 2, 3}) {
      const TokenRun run{first, step, 20};
      const auto part = kernels::part_spec(spec, {run, run, tokens, tokens}, 0);
      const kernels::attn::DropoutMask own(part.spec, 1, 2);
      for (int64_t i = 0; i < run.count; ++i)
        for (int64_t j = 0; j < run.count; ++j)
          ASSERT_EQ(own.keeps(i, j), whole.keeps(run[i], run[j]));
    }
  }
}

}  // namespace
}  // namespace heed
