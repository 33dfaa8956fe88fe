#include <gtest/gtest.h>

#include "distributed/head_exchange.h"
#include "tests/distributed/shared_attention.h"

namespace heed {
namespace {

using testing::expect_equals_one_rank;
using testing::kLayouts;
using testing::normal;
using testing::SharedAttention;

AttentionResult exchange(const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionSpec& spec, Communicator& ranks, TokenLayout layout) {
  return head_exchange_attention(q, k, v, spec, ranks, layout);
}

SharedAttention problem_of(const std::string& name) {
  const int64_t ranks = world().size();
  SharedAttention problem{name};
  problem.heads = 2 * ranks, problem.kv_heads = ranks, problem.tokens = 2 * ranks * 9;
  return problem;
}

void expect_everywhere(const SharedAttention& problem) {
  for (const TokenLayout layout : kLayouts) {
    expect_equals_one_rank(problem, exchange, layout, DType::f64, 1e-10);
    expect_equals_one_rank(problem, exchange, layout, DType::f32, 1e-5);
  }
}

TEST(HeadExchange, EqualsOneRank) {
  const int64_t heads = 2 * world().size();
  std::vector<AttentionPattern> by_head;
  for (int64_t h = 0; h < heads; ++h) by_head.push_back(AttentionPattern::window(h, 2));
  for (const auto& pattern :
       {AttentionPattern::dense(), AttentionPattern::causal(), AttentionPattern::window(5, 2),
        AttentionPattern::per_head(by_head)}) {
    SharedAttention problem = problem_of(pattern.text());
    problem.spec.pattern = pattern;
    expect_everywhere(problem);
  }
}

TEST(HeadExchange, EqualsOneRankForEveryTermOfTheScore) {
  SharedAttention problem = problem_of("terms");
  const int64_t heads = problem.heads, n = problem.tokens;
  AttentionScore& score = problem.spec.score;
  problem.spec.pattern = AttentionPattern::causal();
  for (int64_t h = 0; h < heads; ++h) score.alibi.push_back(0.1f * static_cast<float>(h));
  score.bias = normal({1, heads, n, n}, "bias");
  score.table = normal({heads, 11}, "table");
  score.relative = relative_positions(n, n, 5);
  score.query_temperature = normal({2, 1, n}, "tq");
  score.key_temperature = normal({1, heads, n}, "tk");
  score.sink = normal({heads}, "sink");
  score.relative_logits[0] = {normal({2, heads, n, 9}, "logits"), relative_positions(n, n, 4)};
  problem.spec.dropout = 0.3;
  problem.spec.dropout_key = {1, 2, 3};
  problem.spec.dropout_head = 2;
  expect_everywhere(problem);
}

// Draws go by the places that a plan gives to tokens, which the first head's pattern says.
TEST(HeadExchange, DropoutOfPatternsThatReorderTokens) {
  SharedAttention problem = problem_of("reordered");
  std::vector<AttentionPattern> by_head(
      static_cast<size_t>(problem.heads),
      AttentionPattern::neighborhood({{.length = problem.tokens, .window = 5, .dilation = 2}}));
  problem.spec.pattern = AttentionPattern::per_head(by_head);
  problem.spec.dropout = 0.3;
  problem.spec.dropout_key = {1, 2, 3};
  expect_everywhere(problem);
}

TEST(HeadExchange, SendsWhatTheTableSays) {
  const auto ranks = world().split(0, world().rank());
  const int64_t n = ranks->size(), each = 24, heads = 2 * n;
  const int64_t unit = (n - 1) * 2 * heads * each * 8;
  Tensor q = normal({2, heads, each, 8}, "q"), k = normal({2, heads, each, 8}, "k"),
         v = normal({2, heads, each, 8}, "v");
  for (Tensor* t : {&q, &k, &v}) require_grad(*t);
  const AttentionResult y =
      head_exchange_attention(q, k, v, {}, *ranks, TokenLayout::contiguous, false);
  EXPECT_EQ(ranks->bytes_sent(), 4 * unit * 8 / n);
  backward(y.out, normal(y.out.shape(), "dout"));
  EXPECT_EQ(ranks->bytes_sent(), 8 * unit * 8 / n);
}

TEST(HeadExchange, RefusesHeadsThatDoNotShareOut) {
  const int64_t n = world().size();
  const Tensor q = normal({1, 2 * n, 6, 4}, "q"), k = normal({1, 1, 6, 4}, "k");
  EXPECT_THROW(head_exchange_attention(q, k, k, {}, world(), TokenLayout::contiguous),
               RequestError);
}

}  // namespace
}  // namespace heed
