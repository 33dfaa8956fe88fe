// The fused attention kernels for sm_90a against materialised scores in f64; skipped on devices
// that have others.
#include <gtest/gtest.h>

#include <cstdio>

#include "core/views.h"
#include "tests/cuda/fused_attention_check.h"
#include "tests/kernels/attention_random_spec.h"

namespace heed {
namespace {

using namespace testing;
using kernels::attn::FusedKernels;
using kernels::attn::takes_hopper;
using kernels::attn::UseFusedKernels;

class HopperAttention : public ::testing::Test {
 protected:
  void SetUp() override {
    const Tensor x = Tensor::empty({1, 1, 64, 64}, DType::bf16, kDevice);
    if (!takes_hopper(x, x, x, {})) GTEST_SKIP() << "the device has no kernels for sm_90a";
  }
  void TearDown() override {
    if (HasFailure())
      std::puts(
          "HEED_ATTENTION_KERNEL=portable makes heed do without the kernels that failed here");
  }

 private:
  UseFusedKernels automatic_{FusedKernels::automatic};
};

void expect_hopper(const Sizes& s, const AttentionSpec& spec) {
  const Inputs in(s, DType::bf16);
  EXPECT_TRUE(takes_hopper(on_device(in.q), on_device(in.k), on_device(in.v), on_device(spec)))
      << name(s);
  expect_matches(s, DType::bf16, spec, in, run_on_device(in, spec), /*score_gradients=*/false);
}

TEST_F(HopperAttention, EqualsMaterialisedScores) {
  const Sizes sizes[] = {
      {1, 1, 1, 1, 1, 8, 8},       {1, 2, 1, 7, 13, 16, 8},     {2, 1, 1, 63, 65, 40, 40},
      {1, 2, 2, 65, 63, 64, 64},   {1, 4, 2, 129, 67, 40, 24},  {1, 1, 1, 64, 64, 64, 80},
      {1, 2, 1, 200, 129, 32, 32}, {1, 1, 1, 65, 130, 128, 96}, {1, 2, 1, 130, 70, 96, 128},
      {2, 6, 2, 70, 200, 16, 64},  {1, 2, 1, 150, 600, 64, 64}, {1, 1, 1, 500, 140, 128, 128},
  };
  for (const Sizes& s : sizes) {
    expect_hopper(s, {});
    expect_hopper(s, {.pattern = AttentionPattern::causal(s.keys - s.queries)});
    if (HasFailure()) return;
  }
}

// Forward: Q stays in shared memory. Backward is the portable kernels'.
TEST_F(HopperAttention, TakesHeadsOf256) {
  expect_hopper({1, 2, 1, 130, 200, 256, 200}, {.pattern = AttentionPattern::causal()});
  expect_hopper({1, 1, 1, 65, 300, 136, 256}, {});
  const Tensor x = Tensor::empty({1, 1, 70, 200}, DType::bf16, kDevice);
  EXPECT_FALSE(takes_hopper(x, x, x, {.score = {.softcap = 2.0}}));
}

TEST_F(HopperAttention, TakesEveryKindOfTile) {
  const Sizes sizes[] = {{2, 2, 1, 140, 140, 24, 16}, {2, 2, 2, 140, 140, 72, 96}};
  size_t turn = 0;
  for (const AttentionPattern& pattern : patterns_of_every_kind()) {
    SCOPED_TRACE(pattern.text().substr(0, 60));
    expect_hopper(sizes[turn++ % 2], {.pattern = pattern});
    if (HasFailure()) return;
  }
}

// Blocks of tiles that neighbouring lines do not share: one group passes by what the other sees.
TEST_F(HopperAttention, TakesSparseBlocks) {
  const auto blocks = [](int64_t i, int64_t j) {
    const int64_t a = i / 64, b = j / 64;
    return a == b || (a * 5 + b * 3) % 4 == 0;
  };
  for (const int64_t width : {64, 128}) {
    expect_hopper({1, 2, 1, 500, 700, width, width},
                  {.pattern = AttentionPattern::where("sparse blocks", blocks)});
    // lines without a tile beside lines with some
    expect_hopper({1, 1, 1, 300, 300, width, width},
                  {.pattern = AttentionPattern::where("odd blocks", [](int64_t i, int64_t j) {
                     return i / 64 % 2 == 1 && j / 64 % 2 == 0;
                   })});
  }
}

TEST_F(HopperAttention, TakesEveryTermOfTheScore) {
  const Sizes s{2, 4, 2, 77, 91, 24, 40};
  Draw draw(5);
  const auto tensor = [&](const Shape& shape, float low) {
    return random_tensor(draw, shape, low, low + 1.5f);
  };
  std::vector<AttentionScore> scores = {
      {.scale = -0.3},
      {.alibi = {0.1f, 0.2f, 0.3f, 0.05f}, .alibi_step = 2},
      {.softcap = 0.7},
      {.query_temperature = tensor({2, 4, 77}, 0.5f)},
      {.key_temperature = tensor({1, 4, 91}, 0.5f)},
      {.bias = tensor({2, 4, 77, 91}, -1.0f)},
      {.table = tensor({4, 21}, -1.0f), .relative = relative_positions(77, 91, 10, 3)},
      {.sink = tensor({4}, -1.0f)},
  };
  AttentionScore relative;
  relative.relative_logits[0] = {tensor({1, 4, 77, 13}, -1.0f), relative_positions(77, 91, 6)};
  scores.push_back(relative);
  for (size_t i = 0; i < scores.size(); ++i) {
    SCOPED_TRACE(fmt::format("score {}", i));
    expect_hopper(s, {.score = scores[i]});
    if (HasFailure()) return;
  }
  expect_hopper({1, 4, 2, 77, 91, 128, 104},
                {.pattern = AttentionPattern::window(20, 9, 3), .score = scores[1]});
  expect_hopper(
      {1, 2, 1, 70, 130, 64, 64},
      {.pattern = AttentionPattern::causal(60), .dropout = 0.3, .dropout_key = {9, 8, 7}});
}

TEST_F(HopperAttention, RandomPatternsAndScoresEqualMaterialisedScores) {
  for (uint64_t seed = 2000; seed < 2000 + seeds(20); ++seed) {
    Draw draw(seed);
    PatternExtents e = random_extents(draw);
    AttentionSpec spec;
    spec.pattern = draw.one_in(6) ? random_bordered_pattern(draw, e) : random_pattern(draw, e);
    const int64_t kv_heads = draw.one_in(2) ? e.heads : 1;
    const Sizes s{e.batch, e.heads, kv_heads, e.queries, e.keys, 8 * draw(1, 16), 8 * draw(1, 16)};
    if (draw.one_in(2)) spec.score = random_score(draw, e);
    if (draw.one_in(5)) spec.dropout = 0.2, spec.dropout_key = {seed, 1, 2};
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, spec.pattern.text().substr(0, 200)));
    expect_hopper(s, spec);
    if (HasFailure()) return;
  }
}

TEST_F(HopperAttention, ReadsAndWritesStridedRows) {
  const Sizes s{2, 3, 3, 130, 130, 24, 24};  // heads of a packed [B, N, 3, H, D] tensor
  const Tensor packed = random({2, 130, 9, 24}, DType::bf16, 1);
  const auto part = [&](const Tensor& of, int64_t first) {
    return views::transpose(views::slice(of, 2, first, first + 3), 1, 2);
  };
  Inputs in(s, DType::bf16);
  in.q = part(packed, 0), in.k = part(packed, 3), in.v = part(packed, 6);
  const Tensor there = on_device(packed);
  const Tensor q = part(there, 0), k = part(there, 3), v = part(there, 6);
  EXPECT_TRUE(takes_hopper(q, k, v, {}));
  const AttentionOutput forward = kernels::attn::fused_cuda_forward(q, k, v, {});
  const Tensor into = Tensor::full({2, 130, 9, 24}, 7.0, DType::bf16, kDevice);
  AttentionGradients views_of;
  views_of.dq = part(into, 0), views_of.dk = part(into, 3), views_of.dv = part(into, 6);
  kernels::attn::fused_cuda_backward(on_device(in.dout), on_device(in.dlse), q, k, v, forward, {},
                                     true, true, views_of);
  AttentionGradients grads;
  const Tensor back = on_host(into);
  grads.dq = part(back, 0), grads.dk = part(back, 3), grads.dv = part(back, 6);
  expect_matches(s, DType::bf16, {}, in, {{on_host(forward.out), on_host(forward.lse)}, grads},
                 false);
}

TEST_F(HopperAttention, LeavesOtherCallsToThePortableKernels) {
  const auto q = [](int64_t queries, int64_t width, DType dtype = DType::bf16) {
    return Tensor::empty({1, 2, queries, width}, dtype, kDevice);
  };
  EXPECT_TRUE(takes_hopper(q(70, 64), q(70, 64), q(70, 64), {}));
  EXPECT_FALSE(
      takes_hopper(q(70, 64, DType::f32), q(70, 64, DType::f32), q(70, 64, DType::f32), {}));
  EXPECT_FALSE(takes_hopper(q(70, 20), q(70, 20), q(70, 20), {})) << "rows of 40 bytes";
  EXPECT_FALSE(takes_hopper(q(2, 64), q(4000, 64), q(4000, 64), {})) << "decoding";
  const Tensor once = Tensor::empty({1, 1, 70, 64}, DType::bf16, kDevice);
  EXPECT_FALSE(takes_hopper(q(70, 64), q(70, 64), views::expand(once, {1, 2, 70, 64}), {}))
      << "a broadcast";
  const UseFusedKernels portable(FusedKernels::portable);
  EXPECT_FALSE(takes_hopper(q(70, 64), q(70, 64), q(70, 64), {}));
}

TEST_F(HopperAttention, GivesTheSameBitsInEveryWay) {
  expect_same_bits({1, 2, 1, 200, 330, 40, 40}, DType::bf16,
                   {.pattern = AttentionPattern::causal(130), .dropout = 0.1});
  expect_same_bits({2, 2, 2, 140, 140, 128, 128}, DType::bf16,
                   {.pattern = AttentionPattern::neighborhood(
                        {{.length = 10, .window = 3}, {.length = 14, .window = 5}})});
}

}  // namespace
}  // namespace heed
