// Patterns and scores in the fused kernels: any of them against materialised scores, and what must
// be the same by two ways.
#include <gtest/gtest.h>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/views.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/plan.h"
#include "kernels/copy/copy.h"
#include "tests/kernels/attention_check.h"
#include "tests/kernels/attention_random_spec.h"

namespace heed {
namespace {

using namespace testing;

TEST(Attention, RandomPatternsAndScoresEqualMaterialisedScores) {
  for (uint64_t seed = 0; seed < seeds(300); ++seed) {
    Draw draw(seed);
    PatternExtents e = random_extents(draw);
    AttentionSpec spec;
    spec.pattern = draw.one_in(6) ? random_bordered_pattern(draw, e) : random_pattern(draw, e);
    const int64_t kv_heads = draw.one_in(2) ? e.heads : 1;
    const Sizes s{e.batch, e.heads, kv_heads, e.queries, e.keys, draw(1, 24), draw(1, 24)};
    if (draw.one_in(2)) spec.score = random_score(draw, e);
    if (draw.one_in(5)) spec.dropout = 0.2, spec.dropout_key = {seed, 1, 2};
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, spec.pattern.text()));
    expect_matches(s, kDTypes[seed % 3], spec);
    if (HasFailure()) return;
  }
}

TEST(Attention, EveryTermOfTheScoreEqualsMaterialisedScores) {
  const Sizes s{2, 4, 2, 77, 91, 20, 24};
  Draw draw(5);
  const auto tensor = [&](const Shape& shape, float low) {
    return random_tensor(draw, shape, low, low + 1.5f);
  };
  std::vector<AttentionScore> scores;
  scores.push_back({.softcap = 0.7});
  scores.push_back({.query_temperature = tensor({2, 4, 77}, 0.5f)});
  scores.push_back({.key_temperature = tensor({1, 4, 91}, 0.5f)});
  scores.push_back({.query_temperature = tensor({1, 4, 1}, 0.5f)});
  scores.push_back({.key_temperature = tensor({2, 1, 1}, 0.5f)});
  for (const Shape& shape :
       {Shape{2, 4, 77, 91}, Shape{1, 4, 77, 91}, Shape{2, 1, 77, 91}, Shape{1, 1, 77, 91},
        Shape{2, 1, 1, 91}, Shape{1, 4, 77, 1}, Shape{1, 4, 1, 91}, Shape{1, 1, 1, 1}})
    scores.push_back({.bias = tensor(shape, -1.0f)});
  scores.push_back(
      {.table = tensor({4, 21}, -1.0f), .relative = relative_positions(77, 91, 10, 3)});
  scores.push_back(
      {.table = tensor({1, 16}, -1.0f), .relative = relative_buckets(77, 91, 16, 40, true)});
  for (const Shape& shape : {Shape{4}, Shape{2, 4, 77}, Shape{1, 4, 1}, Shape{1, 1, 77}})
    scores.push_back({.sink = tensor(shape, -1.0f)});
  for (const Shape& shape : {Shape{2, 4, 77, 13}, Shape{1, 4, 77, 13}, Shape{2, 1, 77, 13}}) {
    AttentionScore score;
    score.relative_logits[0] = {tensor(shape, -1.0f), relative_positions(77, 91, 6)};
    score.relative_logits[2] = {tensor({2, 4, 77, 32}, -1.0f),
                                relative_buckets(77, 91, 32, 64, true)};
    scores.push_back(score);
  }
  for (const AttentionScore& score : scores) {
    for (const AttentionPattern& pattern :
         {AttentionPattern::dense(), AttentionPattern::window(20, 9, 3)}) {
      for (const DType dtype : kDTypes) expect_matches(s, dtype, {pattern, score});
    }
  }
}

TEST(Attention, RelativeTablesOnAGridEqualMaterialisedScores) {
  const Sizes s{1, 2, 2, 120, 120, 16, 16};
  Draw draw(6);
  AttentionSpec spec{.pattern =
                         AttentionPattern::neighborhood({{.length = 10, .window = 3, .dilation = 2},
                                                         {.length = 12, .window = 5}})};
  spec.score.table = random_tensor(draw, {2, 5 * 9});
  spec.score.relative = relative_grid({10, 12}, {3, 5}, {2, 1});
  for (const DType dtype : kDTypes) expect_matches(s, dtype, spec);
  // The first axis's offset is the slow one; both are 0 in the middle of the table.
  const RelativeIndex& index = *spec.score.relative;
  EXPECT_EQ(index.key[17] - index.query[17], 2 * 9 + 4);
  EXPECT_EQ(index.key[2 * 12 + 1] - index.query[0], 3 * 9 + 5);
}

TEST(Attention, OffsetsAlongAnAxisCountFromTheFarthestPastOne) {
  // A map of 3 x 4, windows of 5: entry 4 is the pair of a token with itself.
  const auto entry = [](const RelativeIndex& index, int64_t entries, int64_t i, int64_t j) {
    return kernels::attn::TableIndex{&index, entries}(i, j);
  };
  const auto rows = relative_axis({3, 4}, 0, 5), columns = relative_axis({3, 4}, 1, 5);
  const int64_t from = 1 * 4 + 3, to = 2 * 4 + 1;
  EXPECT_EQ(entry(*rows, 9, from, to), 4 + 1);
  EXPECT_EQ(entry(*columns, 9, from, to), 4 - 2);
  EXPECT_EQ(entry(*rows, 9, from, from), 4);
  // Behind two global tokens: as before, but 9 for pairs with one of these.
  const auto behind = behind_globals(*rows, 2);
  EXPECT_EQ(entry(*behind, 10, 2 + from, 2 + to), 4 + 1);
  for (const auto& [i, j] : {std::pair<int64_t, int64_t>{0, 5}, {5, 0}, {0, 0}, {1, 0}, {13, 1}})
    EXPECT_EQ(entry(*behind, 10, i, j), 9) << i << " " << j;
}

TEST(Attention, GlobalTokensLookUpTheLastEntryOfIndicesWithAMapToo) {
  const auto buckets = behind_globals(*relative_buckets(6, 6, 8, 20, true), 1);
  const auto reach = behind_globals(*relative_positions(6, 6, 2), 1);
  for (const auto& [index, entries] : {std::pair{buckets, int64_t{9}}, {reach, int64_t{6}}}) {
    const kernels::attn::TableIndex at{index.get(), entries};
    for (int64_t t = 0; t < 7; ++t) {
      EXPECT_EQ(at(0, t), entries - 1);
      EXPECT_EQ(at(t, 0), entries - 1);
    }
    for (int64_t i = 1; i < 7; ++i)
      for (int64_t j = 1; j < 7; ++j) EXPECT_LT(at(i, j), entries - 1);
  }
}

TEST(Attention, BackwardOfAGivenForwardRefusesWhatDoesNotFit) {
  const Inputs in({2, 4, 2, 20, 30, 8, 6}, DType::f32);
  const AttentionSpec spec;
  const auto forward = kernels::attention(in.q, in.k, in.v, spec);
  const auto backward = [&](const Tensor& dout, const Tensor& dlse, const Tensor& out,
                            const Tensor& lse) {
    return kernels::attention_backward(dout, dlse, in.q, in.k, in.v, {out, lse}, spec, true, true);
  };
  const Tensor none, other = Tensor::zeros({2, 4, 19});
  EXPECT_THROW(backward(Tensor::zeros({2, 4, 20, 5}), none, none, forward.lse), Error);
  EXPECT_THROW(backward(in.dout, none, Tensor::zeros({2, 4, 20, 5}), forward.lse), Error);
  EXPECT_THROW(backward(in.dout, none, forward.out, other), Error);
  EXPECT_THROW(backward(in.dout, other, forward.out, forward.lse), Error);
  // Other layouts and dtypes are the same.
  const Tensor out = views::transpose(Tensor::empty({2, 4, 6, 20}), 2, 3);
  kernels::copy(forward.out, out);
  const auto want = backward(in.dout, none, forward.out, forward.lse);
  const auto got = backward(in.dout, none, out, kernels::cast(forward.lse, DType::f64));
  EXPECT_EQ(got.dq.to_vector<float>(), want.dq.to_vector<float>());
  EXPECT_EQ(got.dk.to_vector<float>(), want.dk.to_vector<float>());
}

TEST(Attention, VirtualKeysCountInTheSoftmax) {
  // HaloNet, arXiv 2103.12731: equal logits, values 0 .. 15: means over 16 places, some of them 0.
  const std::vector<HaloAxis> axes(2, {.length = 4, .block = 2, .halo = 1});
  for (const DType dtype : kDTypes) {
    std::vector<double> numbers(16);
    for (size_t i = 0; i < 16; ++i) numbers[i] = static_cast<double>(i);
    const Tensor zero = Tensor::zeros({1, 1, 16, 1}, dtype);
    const Tensor values = kernels::cast(Tensor::from(numbers, {1, 1, 16, 1}), dtype);
    const auto out = [&](Border border) {
      return kernels::attention(zero, zero, values, {AttentionPattern::halo(axes, border)})
          .out.to_vector<double>();
    };
    const double r = dtype == DType::bf16 ? 0x1p-8 : 1e-6;
    EXPECT_NEAR(out(Border::virtual_keys)[0], 45.0 / 16, 45.0 / 16 * r);
    EXPECT_NEAR(out(Border::virtual_keys)[15], 90.0 / 16, 90.0 / 16 * r);
    EXPECT_NEAR(out(Border::crop)[0], 5.0, 5 * r);
    EXPECT_NEAR(out(Border::crop)[15], 10.0, 10 * r);
    for (const Border border : {Border::crop, Border::shift, Border::virtual_keys})
      expect_matches({2, 2, 1, 16, 16, 8, 9}, dtype, {AttentionPattern::halo(axes, border)});
  }
}

TEST(Attention, PatternsThatHoldEveryPairEqualDense) {
  const Inputs in({2, 4, 2, 130, 130, 32, 24}, DType::f32);
  const Results dense = run(in, {});
  std::vector<int32_t> all;
  for (int64_t i = 0; i < 130; ++i)
    for (int32_t j = 0; j < 130; ++j) all.push_back(j);
  for (const AttentionPattern& pattern :
       {AttentionPattern::window(200, 200), AttentionPattern::neighborhood({{130, 130}}),
        AttentionPattern::windows({130}, {130}), AttentionPattern::prefix(130),
        AttentionPattern::segments(std::vector<int32_t>(130, 3)),
        AttentionPattern::lengths({130, 130}), AttentionPattern::indices(all, 1, 1, 130, 130),
        AttentionPattern::causal() | AttentionPattern::window(0, 130)}) {
    const Results got = run(in, {pattern});
    EXPECT_EQ(got.forward.out.to_vector<float>(), dense.forward.out.to_vector<float>());
    EXPECT_EQ(got.grads.dq.to_vector<float>(), dense.grads.dq.to_vector<float>());
    EXPECT_EQ(got.grads.dk.to_vector<float>(), dense.grads.dk.to_vector<float>());
    EXPECT_EQ(got.grads.dv.to_vector<float>(), dense.grads.dv.to_vector<float>());
  }
}

TEST(Attention, SparseResultsDoNotDependOnTheThreadCount) {
  const int threads = thread_count();
  Draw draw(9);
  const Sizes s{2, 4, 2, 576, 576, 16, 16};
  const Inputs in(s, DType::f32);
  AttentionSpec spec{.pattern = AttentionPattern::neighborhood({{24, 7}, {24, 7}})};
  spec.score.bias = random_tensor(draw, {1, 4, 576, 576});
  spec.score.table = random_tensor(draw, {4, 169});
  spec.score.relative = relative_grid({24, 24}, {7, 7});
  spec.score.key_temperature = random_tensor(draw, {2, 1, 576}, 0.5f, 2.0f);
  spec.score.relative_logits[0] = {random_tensor(draw, {1, 4, 576, 13}),
                                   relative_axis({24, 24}, 0, 7)};
  spec.score.sink = random_tensor(draw, {1, 4, 576});
  std::vector<std::vector<float>> first;
  for (const int count : {1, 2, 3}) {
    set_thread_count(count);
    const Results got = run(in, spec);
    std::vector<std::vector<float>> all;
    for (const Tensor& t :
         {got.forward.out, got.grads.dq, got.grads.dk, got.grads.dv, got.grads.bias,
          got.grads.table, got.grads.key_temperature, got.grads.relative_logits[0], got.grads.sink})
      all.push_back(t.to_vector<float>());
    if (first.empty()) first = all;
    EXPECT_TRUE(first == all) << count;
  }
  set_thread_count(threads);
}

TEST(Attention, UnionsOfDisjointPatternsMergeThroughTheirLse) {
  const Inputs in({1, 2, 2, 150, 150, 16, 8}, DType::f64);
  const auto near = AttentionPattern::window(10, 0);
  const auto far = AttentionPattern::blocks(
      1, 150, 150, [](int64_t i, int64_t j) { return i - j > 10 && (i - j) % 7 == 0; });
  const auto a = kernels::attention(in.q, in.k, in.v, {near});
  const auto b = kernels::attention(in.q, in.k, in.v, {far});
  const auto whole = kernels::attention(in.q, in.k, in.v, {near | far});
  const auto la = a.lse.to_vector<double>(), lb = b.lse.to_vector<double>();
  const auto oa = a.out.to_vector<double>(), ob = b.out.to_vector<double>();
  const auto want = whole.out.to_vector<double>();
  for (size_t i = 0; i < la.size(); ++i) {
    const double merged = std::log(std::exp(la[i]) + std::exp(lb[i]));
    for (size_t d = 0; d < 8; ++d)
      ASSERT_NEAR(
          want[i * 8 + d],
          std::exp(la[i] - merged) * oa[i * 8 + d] + std::exp(lb[i] - merged) * ob[i * 8 + d],
          1e-13);
  }
}

TEST(Attention, ALongCausalWindowNeedsMemoryByTheToken) {
  constexpr int64_t kTokens = 65536;
  const Inputs in({1, 2, 1, kTokens, kTokens, 16, 16}, DType::f32);
  allocator::reset_peak();
  const int64_t before = allocator::stats().in_use_bytes;
  const Results got = run(in, {AttentionPattern::window(127, 0)});
  EXPECT_TRUE(std::isfinite(got.grads.dq.to_vector<float>()[kTokens]));
  // A few rows of q, k, v and their gradients a token; one matrix of scores would be 16 GiB.
  EXPECT_LT(allocator::stats().peak_bytes - before, int64_t{128} << 20);
}

}  // namespace
}  // namespace heed
