#include <gtest/gtest.h>

#include "core/work.h"
#include "distributed/ring_attention.h"
#include "distributed/ring_schedule.h"
#include "tests/distributed/shared_attention.h"
#include "tests/kernels/attention_random_spec.h"

namespace heed {
namespace {

using testing::expect_equals_one_rank;
using testing::kLayouts;
using testing::normal;
using testing::SharedAttention;

constexpr double kExact = 1e-10;
// f32: a few hundred products of order 1, summed in another order.
constexpr double kSingle = 1e-5;

void expect_everywhere(const SharedAttention& problem) {
  for (const TokenLayout layout : kLayouts) {
    expect_equals_one_rank(problem, ring_attention, layout, DType::f64, kExact);
    expect_equals_one_rank(problem, ring_attention, layout, DType::f32, kSingle);
  }
}

/// An odd number of tokens in each chunk of zigzag.
int64_t some_tokens(int64_t each = 19) { return 2 * world().size() * each; }

TEST(RingAttention, EqualsOneRankForEveryPattern) {
  const int64_t n = some_tokens();
  std::vector<int32_t> documents;
  for (int64_t i = 0; i < 2 * n; ++i) documents.push_back(static_cast<int32_t>(i % n * 5 / n));
  const std::pair<const char*, AttentionPattern> patterns[] = {
      {"dense", AttentionPattern::dense()},
      {"causal", AttentionPattern::causal()},
      {"window", AttentionPattern::window(6, 0)},
      {"wide window", AttentionPattern::window(40, 3)},
      {"neighborhood", AttentionPattern::neighborhood({{.length = n, .window = 7}})},
      {"dilated", AttentionPattern::neighborhood(
                      {{.length = 2, .window = 2}, {.length = n / 2, .window = 5, .dilation = 2}})},
      {"segments", AttentionPattern::segments(documents, 2)},
      {"causal segments", AttentionPattern::segments(documents, 2) & AttentionPattern::causal()},
      {"lengths", AttentionPattern::lengths({n / 3, n}) & AttentionPattern::causal()},
      {"sinks",
       AttentionPattern::window(9, 0) | (AttentionPattern::prefix(3) & AttentionPattern::causal())},
      {"nothing", AttentionPattern::prefix(0)},
      {"virtual keys",
       AttentionPattern::halo({{.length = n, .block = 8, .halo = 3}}, Border::virtual_keys)},
      {"per head",
       AttentionPattern::per_head({AttentionPattern::causal(), AttentionPattern::window(3, 3),
                                   AttentionPattern::dense(), AttentionPattern::prefix(5)})},
  };
  for (const auto& [name, pattern] : patterns) {
    SharedAttention problem{name};
    problem.tokens = n;
    problem.spec.pattern = pattern;
    expect_everywhere(problem);
  }
}

TEST(RingAttention, EqualsOneRankForEveryGroupingAndSize) {
  for (const int64_t each : {1, 2, 33, 70}) {
    for (const int64_t kv_heads : {1, 2, 4}) {
      SharedAttention problem{fmt::format("{} a chunk, {} kv heads", each, kv_heads)};
      problem.batch = 1;
      problem.kv_heads = kv_heads;
      problem.tokens = some_tokens(each);
      problem.width = 16;
      problem.spec.pattern = AttentionPattern::causal();
      expect_everywhere(problem);
    }
  }
}

TEST(RingAttention, EqualsOneRankForOtherNumbersOfKeys) {
  for (const int64_t keys : {some_tokens(4), some_tokens(50)}) {
    for (const auto& pattern :
         {AttentionPattern::dense(), AttentionPattern::causal(keys - some_tokens())}) {
      SharedAttention problem{"other keys"};
      problem.tokens = some_tokens();
      problem.keys = keys;
      problem.spec.pattern = pattern;
      // Slopes grow without bound towards the future, and rounding with them.
      if (!pattern.is_dense()) problem.spec.score.alibi = {0.5f, 0.3f, 0.1f, 0.07f};
      expect_everywhere(problem);
    }
  }
}

TEST(RingAttention, EqualsOneRankForEveryTermOfTheScore) {
  const int64_t n = some_tokens(), heads = 4;
  std::vector<std::pair<const char*, AttentionScore>> scores(7);
  scores[0] = {"alibi and softcap", {}};
  scores[0].second.alibi = {0.5f, 0.3f, 0.1f, 0.07f};
  scores[0].second.softcap = 2.0;
  scores[1] = {"sink", {}};
  scores[1].second.sink = normal({heads}, "sink");
  scores[2] = {"sinks by row", {}};
  scores[2].second.sink = normal({1, heads, n}, "sinks");
  scores[3] = {"bias", {}};
  scores[3].second.bias = normal({1, heads, n, n}, "bias");
  scores[4] = {"table", {}};
  scores[4].second.table = normal({heads, 11}, "table");
  scores[4].second.relative = relative_positions(n, n, 5);
  scores[5] = {"temperatures", {}};
  scores[5].second.query_temperature = normal({2, 1, n}, "tq");
  scores[5].second.key_temperature = normal({1, heads, n}, "tk");
  scores[6] = {"relative logits", {}};
  scores[6].second.relative_logits[0] = {normal({2, heads, n, 9}, "logits"),
                                         relative_positions(n, n, 4)};
  for (const auto& [name, score] : scores) {
    for (const auto& pattern : {AttentionPattern::causal(), AttentionPattern::window(9, 2)}) {
      SharedAttention problem{name};
      problem.tokens = n;
      problem.spec.pattern = pattern;
      problem.spec.score = score;
      expect_everywhere(problem);
    }
  }
}

TEST(RingAttention, DropsWhatOneRankWouldDrop) {
  for (const int64_t each : {19, 32}) {
    for (const auto& pattern : {AttentionPattern::dense(), AttentionPattern::causal()}) {
      SharedAttention problem{"dropout"};
      problem.tokens = some_tokens(each);
      problem.spec.pattern = pattern;
      problem.spec.dropout = 0.4;
      problem.spec.dropout_key = {1, 2, 3};
      problem.spec.dropout_row = 5;
      problem.spec.dropout_head = 3;
      expect_everywhere(problem);
    }
  }
}

TEST(RingAttention, EqualsOneRankInBf16) {
  SharedAttention problem{"bf16"};
  problem.tokens = some_tokens();
  problem.spec.pattern = AttentionPattern::causal();
  // Outputs and each chunk's gradients are rounded to 8 bits; tensors here are sums of a few.
  for (const TokenLayout layout : kLayouts)
    expect_equals_one_rank(problem, ring_attention, layout, DType::bf16, 0.03);
}

// Any pattern and score that the engine has.
TEST(RingAttention, EqualsOneRankForRandomSpecs) {
  const int ranks = world().size();
  for (uint64_t seed = 0; seed < testing::seeds(40); ++seed) {
    testing::Draw draw(1000 * static_cast<uint64_t>(ranks) + seed);
    SharedAttention problem{fmt::format("seed {}", seed)};
    problem.batch = draw(1, 2);
    problem.kv_heads = draw(1, 2);
    problem.heads = problem.kv_heads * draw(1, 2);
    problem.tokens = 2 * ranks * draw(1, 40);
    problem.width = draw(1, 20), problem.value_width = draw(1, 20);
    const PatternExtents e{problem.batch, problem.heads, problem.tokens, problem.tokens};
    problem.spec.pattern = testing::random_pattern(draw, e);
    problem.spec.score = testing::random_score(draw, e);
    const TokenLayout layout = kLayouts[draw(0, 2)];
    expect_equals_one_rank(problem, ring_attention, layout, DType::f64, kExact);
    expect_equals_one_rank(problem, ring_attention, layout, DType::f32, 1e-4);
  }
}

TEST(RingAttention, RefusesWhatItCannotShare) {
  Communicator& ranks = world();
  const Tensor x = normal({1, 2, 5, 4}, "x");
  EXPECT_THROW(ring_attention(x, x, x, {}, ranks, TokenLayout::zigzag), RequestError);
  // Its plan brings the tokens of a dilated window together, and its draws follow the plan.
  AttentionSpec dilated;
  dilated.pattern =
      AttentionPattern::neighborhood({{.length = 5 * ranks.size(), .window = 3, .dilation = 2}});
  dilated.dropout = 0.1;
  EXPECT_THROW(ring_attention(x, x, x, dilated, ranks, TokenLayout::contiguous), RequestError);
}

/// Bytes that this rank sends in a forward and in a backward pass.
std::pair<int64_t, int64_t> bytes_of(const AttentionPattern& pattern, TokenLayout layout,
                                     DType dtype, int64_t each) {
  const auto ranks = world().split(0, world().rank());
  Tensor q = normal({2, 4, each, 8}, "q", dtype), k = normal({2, 2, each, 8}, "k", dtype),
         v = normal({2, 2, each, 8}, "v", dtype);
  for (Tensor* t : {&q, &k, &v}) require_grad(*t);
  AttentionSpec spec;
  spec.pattern = pattern;
  const AttentionResult y = ring_attention(q, k, v, spec, *ranks, layout);
  const int64_t forward = ranks->bytes_sent();
  backward(y.out, normal(y.out.shape(), "dout", dtype));
  return {forward, ranks->bytes_sent() - forward};
}

// The sheet's table, in units U = (N - 1) B Hkv c D: forward 2U; backward 2U of keys and values and
// 2U of their gradients, which are f32 (one hop less than the sheet's: a rank keeps its own part of
// its own chunk's gradients at home).
TEST(RingAttention, SendsWhatTheTableSays) {
  const int64_t ranks = world().size(), each = 24, unit = (ranks - 1) * 2 * 2 * each * 8;
  for (const TokenLayout layout : kLayouts) {
    for (const auto& pattern : {AttentionPattern::dense(), AttentionPattern::causal()}) {
      if (!pattern.is_dense() && layout == TokenLayout::contiguous) continue;
      const auto f64 = bytes_of(pattern, layout, DType::f64, each);
      EXPECT_EQ(f64.first, 2 * unit * 8);
      EXPECT_EQ(f64.second, 4 * unit * 8);
      const auto bf16 = bytes_of(pattern, layout, DType::bf16, each);
      EXPECT_EQ(bf16.first, 2 * unit * 2);
      EXPECT_EQ(bf16.second, 2 * unit * 2 + 2 * unit * 4);
    }
  }
}

TEST(RingAttention, SendsNoChunkBeyondTheLastRankThatNeedsIt) {
  const int64_t ranks = world().size(), rank = world().rank(), each = 24;
  const int64_t chunk = 2 * 2 * 2 * each * 8 * 8;  // bytes of keys and values
  // Causal: rank r passes on the chunks of ranks 0 ... r, the last rank none. Their gradients go
  // down to the last rank, which sends them home.
  const auto causal =
      bytes_of(AttentionPattern::causal(), TokenLayout::contiguous, DType::f64, each);
  const int64_t passed = rank + 1 < ranks ? rank + 1 : 0;
  EXPECT_EQ(causal.first, passed * chunk);
  const int64_t gathered = rank + 1 < ranks ? rank : ranks - 1;
  EXPECT_EQ(causal.second, (passed + gathered) * chunk);
  // A window within two chunks: the next rank alone.
  const auto window =
      bytes_of(AttentionPattern::window(each, 0), TokenLayout::contiguous, DType::f64, each);
  EXPECT_EQ(window.first, rank + 1 < ranks ? chunk : 0);
  EXPECT_EQ(window.second, (rank + 1 < ranks ? chunk : 0) + (rank > 0 ? chunk : 0));
  const auto own = bytes_of(AttentionPattern::windows({each * ranks}, {each}),
                            TokenLayout::contiguous, DType::f64, each);
  EXPECT_EQ(own.first + own.second, 0);
}

// The work that the schedule promises is the work that is done.
TEST(RingAttention, ComputesThePairsThatTheScheduleCounts) {
  Communicator& ranks = world();
  const int64_t each = 48, tokens = each * ranks.size(), width = 8;
  const Tensor x = normal({1, 2, each, width}, "x", DType::f32);
  for (const TokenLayout layout : kLayouts) {
    AttentionSpec spec;
    spec.pattern = AttentionPattern::causal();
    const double before = counted_flops();
    ring_attention(x, x, x, spec, ranks, layout);
    const double pairs = (counted_flops() - before) / (4.0 * width);
    int64_t planned = 0;
    for (const RingWork& step :
         ring_work(spec.pattern, {1, 2, tokens, tokens}, layout, ranks.size(), ranks.rank()))
      planned += step.pairs;
    EXPECT_EQ(pairs, static_cast<double>(planned));
    const double all = ranks.all_reduce_number(pairs);
    EXPECT_EQ(all, static_cast<double>(tokens * (tokens + 1)));
    if (layout != TokenLayout::zigzag) continue;
    const double most = ranks.all_reduce_number(pairs, ReduceOp::max);
    const double least = ranks.all_reduce_number(pairs, ReduceOp::min);
    EXPECT_LE(most, 1.05 * least);
  }
}

TEST(RingAttention, OfOneRankIsAttention) {
  const auto alone = self_communicator();
  const Tensor x = normal({1, 2, 7, 4}, "x");
  const AttentionSpec spec{.pattern = AttentionPattern::causal()};
  const AttentionResult ring = ring_attention(x, x, x, spec, *alone, TokenLayout::zigzag);
  const AttentionResult plain = attention(x, x, x, spec);
  EXPECT_EQ(ring.out.to_vector<double>(), plain.out.to_vector<double>());
  EXPECT_EQ(ring.lse.to_vector<double>(), plain.lse.to_vector<double>());
  EXPECT_EQ(alone->bytes_sent(), 0);
}

}  // namespace
}  // namespace heed
