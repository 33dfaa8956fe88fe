#include <gtest/gtest.h>

#include "distributed/ring_self_attention.h"
#include "tests/distributed/shared_attention.h"

namespace heed {
namespace {

using testing::expect_equals_one_rank;
using testing::kLayouts;
using testing::normal;
using testing::SharedAttention;

void expect_everywhere(const SharedAttention& problem) {
  for (const TokenLayout layout : kLayouts) {
    expect_equals_one_rank(problem, ring_self_attention, layout, DType::f64, 1e-10);
    // A few hundred products of order 1, summed in another order.
    expect_equals_one_rank(problem, ring_self_attention, layout, DType::f32, 1e-5);
  }
}

TEST(RingSelfAttention, EqualsOneRank) {
  const int64_t n = 2 * world().size() * 19;
  std::vector<int32_t> documents;
  for (int64_t i = 0; i < 2 * n; ++i) documents.push_back(static_cast<int32_t>(i % n * 5 / n));
  const std::pair<const char*, AttentionPattern> patterns[] = {
      {"dense", AttentionPattern::dense()},
      {"causal", AttentionPattern::causal()},
      {"window", AttentionPattern::window(6, 0)},
      {"neighborhood", AttentionPattern::neighborhood({{.length = n, .window = 7}})},
      {"segments", AttentionPattern::segments(documents, 2)},
      {"nothing", AttentionPattern::prefix(0)},
  };
  for (const auto& [name, pattern] : patterns) {
    for (const int64_t kv_heads : {1, 2, 4}) {
      SharedAttention problem{name};
      problem.tokens = n;
      problem.kv_heads = kv_heads;
      problem.spec.pattern = pattern;
      expect_everywhere(problem);
    }
  }
}

TEST(RingSelfAttention, EqualsOneRankWithSlopesAndDropout) {
  SharedAttention problem{"slopes and dropout"};
  problem.tokens = 2 * world().size() * 7;
  problem.spec.pattern = AttentionPattern::causal();
  problem.spec.score.scale = 0.3;
  problem.spec.score.alibi = {0.5f, 0.3f, 0.1f, 0.07f};
  expect_everywhere(problem);
  problem.spec.dropout = 0.4;
  problem.spec.dropout_key = {1, 2, 3};
  problem.spec.dropout_row = 5;
  expect_everywhere(problem);
}

TEST(RingSelfAttention, SendsWhatTheTableSays) {
  const auto ranks = world().split(0, world().rank());
  const int64_t each = 24, unit = (ranks->size() - 1) * 2 * 4 * each * 8;
  Tensor q = normal({2, 4, each, 8}, "q"), k = normal({2, 4, each, 8}, "k"),
         v = normal({2, 4, each, 8}, "v");
  for (Tensor* t : {&q, &k, &v}) require_grad(*t);
  const AttentionResult y = ring_self_attention(q, k, v, {}, *ranks, TokenLayout::contiguous);
  EXPECT_EQ(ranks->bytes_sent(), 2 * unit * 8);
  backward(y.out, normal(y.out.shape(), "dout"));
  EXPECT_EQ(ranks->bytes_sent(), (2 + 4) * unit * 8);
}

TEST(RingSelfAttention, RefusesWhatItHasNot) {
  Communicator& ranks = world();
  const Tensor x = normal({1, 2, 6, 4}, "x");
  AttentionSpec sinks;
  sinks.score.sink = normal({2}, "sink");
  EXPECT_THROW(ring_self_attention(x, x, x, sinks, ranks, TokenLayout::contiguous), RequestError);
}

}  // namespace
}  // namespace heed
