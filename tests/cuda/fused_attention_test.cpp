// The fused attention kernels against materialised scores in f64 (tests/kernels/
// attention_check.h has the bounds).
#include <gtest/gtest.h>

#include "core/views.h"
#include "tests/cuda/fused_attention_check.h"
#include "tests/kernels/attention_random_spec.h"

namespace heed {
namespace {

using namespace testing;
using kernels::attn::fits_fused_cuda;
using kernels::attn::fused_cuda_backward;
using kernels::attn::fused_cuda_forward;

// The portable kernels, on every device (those for sm_90a: hopper_attention_test.cpp).
class FusedAttention : public ::testing::Test {
 private:
  kernels::attn::UseFusedKernels portable_{kernels::attn::FusedKernels::portable};
};

constexpr DType kFused[] = {DType::bf16, DType::f32};

TEST_F(FusedAttention, EqualsMaterialisedScores) {
  const Sizes sizes[] = {
      {1, 1, 1, 1, 1, 1, 1},      {1, 2, 1, 7, 13, 9, 5},      {2, 1, 1, 63, 65, 40, 40},
      {1, 2, 2, 65, 63, 64, 64},  {1, 4, 2, 129, 67, 40, 24},  {1, 1, 1, 64, 64, 64, 80},
      {1, 2, 1, 65, 129, 32, 32}, {1, 1, 1, 65, 130, 128, 96}, {2, 6, 2, 1, 200, 16, 64},
  };
  for (const Sizes& s : sizes) {
    for (const DType dtype : kFused) {
      expect_fused(s, dtype, {});
      expect_fused(s, dtype, {.pattern = AttentionPattern::causal(s.keys - s.queries)});
      if (HasFailure()) return;
    }
  }
}

TEST_F(FusedAttention, TakesHeadsOf256) {
  const Sizes s{1, 2, 1, 65, 70, 256, 200};
  expect_fused(s, DType::bf16, {.pattern = AttentionPattern::causal()});
  expect_fused(s, DType::bf16, {.score = {.softcap = 2.0}});
  const Tensor wide = Tensor::empty({1, 1, 1, 200}, DType::f32);
  EXPECT_FALSE(fits_fused_cuda(wide, wide, {}));
}

// Decoding: three parts of the keys, one of which a row may not see at all.
TEST_F(FusedAttention, MergesPartsOfManyKeys) {
  for (const DType dtype : kFused) {
    const Sizes s{1, 4, 2, 3, 1100, 32, 48};
    expect_fused(s, dtype, {.pattern = AttentionPattern::causal(1097)});
    expect_fused(s, dtype, {.pattern = AttentionPattern::window(300, 0, 1097)});
    expect_fused(
        s, dtype,
        {.pattern = AttentionPattern::prefix(0), .score = {.sink = Tensor::full({4}, 0.3)}});
  }
}

TEST_F(FusedAttention, TakesEveryKindOfTile) {
  const Sizes s{2, 2, 1, 140, 140, 24, 16};
  size_t turn = 0;
  for (const AttentionPattern& pattern : patterns_of_every_kind()) {
    SCOPED_TRACE(pattern.text().substr(0, 60));
    expect_fused(s, kFused[turn++ % 2], {.pattern = pattern});
    if (HasFailure()) return;
  }
}

TEST_F(FusedAttention, TakesEveryTermOfTheScore) {
  const Sizes s{2, 4, 2, 77, 91, 20, 24};
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
      {.bias = tensor({1, 1, 77, 91}, -1.0f)},
      {.bias = tensor({2, 1, 1, 91}, -1.0f)},
      {.bias = tensor({1, 4, 77, 1}, -1.0f)},
      {.table = tensor({4, 21}, -1.0f), .relative = relative_positions(77, 91, 10, 3)},
      {.table = tensor({1, 16}, -1.0f), .relative = relative_buckets(77, 91, 16, 40, true)},
      {.sink = tensor({4}, -1.0f)},
      {.sink = tensor({2, 4, 77}, -1.0f)},
  };
  AttentionScore relative;
  relative.relative_logits[0] = {tensor({1, 4, 77, 13}, -1.0f), relative_positions(77, 91, 6)};
  relative.relative_logits[2] = {tensor({2, 1, 77, 32}, -1.0f),
                                 relative_buckets(77, 91, 32, 64, true)};
  scores.push_back(relative);
  for (size_t i = 0; i < scores.size(); ++i) {
    SCOPED_TRACE(fmt::format("score {}", i));
    expect_fused(s, kFused[i % 2], {.score = scores[i]});
    expect_fused(s, kFused[(i + 1) % 2],
                 {.pattern = AttentionPattern::window(20, 9, 3), .score = scores[i]});
    if (HasFailure()) return;
  }
}

TEST_F(FusedAttention, RandomPatternsAndScoresEqualMaterialisedScores) {
  for (uint64_t seed = 1000; seed < 1000 + seeds(20); ++seed) {
    Draw draw(seed);
    PatternExtents e = random_extents(draw);
    AttentionSpec spec;
    spec.pattern = draw.one_in(6) ? random_bordered_pattern(draw, e) : random_pattern(draw, e);
    const int64_t kv_heads = draw.one_in(2) ? e.heads : 1;
    const Sizes s{e.batch, e.heads, kv_heads, e.queries, e.keys, draw(1, 40), draw(1, 40)};
    if (draw.one_in(2)) spec.score = random_score(draw, e);
    if (draw.one_in(5)) spec.dropout = 0.2, spec.dropout_key = {seed, 1, 2};
    SCOPED_TRACE(fmt::format("seed {}: {}", seed, spec.pattern.text().substr(0, 200)));
    expect_fused(s, kFused[seed % 2], spec);
    if (HasFailure()) return;
  }
}

// With the keys' unit vectors as values the result is the row of probabilities that survived.
TEST_F(FusedAttention, DropsTheSamePairsAsTheCpu) {
  constexpr int64_t kQueries = 70, kKeys = 65;
  std::vector<float> unit(kKeys * 72, 0.0f);
  for (size_t j = 0; j < kKeys; ++j) unit[j * 72 + j] = 1;
  for (const bool shifted : {false, true}) {
    AttentionSpec spec{.dropout = 0.4, .dropout_key = {9, 8, 7}};
    spec.dropout_row = 5, spec.dropout_head = 3;
    if (shifted) {
      spec.dropout_queries = {.first = 11, .step = 2, .count = kQueries};
      spec.dropout_keys = {.first = 6, .step = 3, .count = kKeys};
    }
    const Tensor q = on_device(random({1, 2, kQueries, 16}, DType::f32, 1)),
                 k = on_device(random({1, 2, kKeys, 16}, DType::f32, 2));
    const Tensor v =
        on_device(views::expand(Tensor::from(unit, {1, 1, kKeys, 72}), {1, 2, kKeys, 72}));
    const auto out = on_host(fused_cuda_forward(q, k, v, spec).out).to_vector<float>();
    int64_t dropped = 0;
    for (int64_t h = 0; h < 2; ++h) {
      const kernels::attn::DropoutMask mask(spec, 0, h);
      for (int64_t i = 0; i < kQueries; ++i) {
        for (int64_t j = 0; j < kKeys; ++j) {
          const auto at = static_cast<size_t>((h * kQueries + i) * 72 + j);
          ASSERT_EQ(out[at] != 0.0f, mask.keeps(i, j)) << h << ", " << i << ", " << j;
          dropped += !mask.keeps(i, j);
        }
      }
    }
    EXPECT_GT(dropped, 3000);
  }
}

TEST_F(FusedAttention, TakesMasksOfTheHost) {
  const Inputs in({1, 2, 2, 20, 20, 8, 8}, DType::bf16);
  Draw draw(8);
  const AttentionSpec spec{.score = {.bias = random_tensor(draw, {1, 1, 20, 20})}};
  const Tensor q = on_device(in.q), k = on_device(in.k), v = on_device(in.v);
  const auto here = on_host(fused_cuda_forward(q, k, v, spec).out).to_vector<float>();
  EXPECT_EQ(here, on_host(fused_cuda_forward(q, k, v, on_device(spec)).out).to_vector<float>());
}

TEST_F(FusedAttention, ReadsAndWritesStridedRows) {
  // heads of a packed [B, N, 3, H, D] tensor: aligned to 16 bytes with D = 8, not with D = 5
  for (const int64_t width : {8, 5}) {
    const Sizes s{2, 3, 3, 66, 66, width, width};
    const Tensor packed = random({2, 66, 9, width}, DType::bf16, 1);
    const auto part = [&](const Tensor& of, int64_t first) {
      return views::transpose(views::slice(of, 2, first, first + 3), 1, 2);
    };
    Inputs in(s, DType::bf16);
    in.q = part(packed, 0), in.k = part(packed, 3), in.v = part(packed, 6);
    const Tensor there = on_device(packed);
    const Tensor q = part(there, 0), k = part(there, 3), v = part(there, 6);
    const AttentionOutput forward = fused_cuda_forward(q, k, v, {});
    const Tensor into = Tensor::full({2, 66, 9, width}, 7.0, DType::bf16, kDevice);
    AttentionGradients views_of;
    views_of.dq = part(into, 0), views_of.dk = part(into, 3), views_of.dv = part(into, 6);
    const AttentionGradients g = fused_cuda_backward(on_device(in.dout), on_device(in.dlse), q, k,
                                                     v, forward, {}, true, true, views_of);
    AttentionGradients grads;
    const Tensor back = on_host(into);
    grads.dq = part(back, 0), grads.dk = part(back, 3), grads.dv = part(back, 6);
    expect_matches(s, DType::bf16, {}, in, {{on_host(forward.out), on_host(forward.lse)}, grads},
                   false);
  }
}

TEST_F(FusedAttention, GivesTheSameBitsInEveryWay) {
  for (const DType dtype : kFused) {
    expect_same_bits({1, 2, 1, 70, 130, 40, 40}, dtype,
                     {.pattern = AttentionPattern::causal(60), .dropout = 0.1});
  }
}

}  // namespace
}  // namespace heed
