#include "autograd/ops/attention.h"

#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"
#include "core/random.h"

namespace heed {
namespace {

Tensor random(const Shape& shape, DType dtype, uint64_t purpose) {
  const Tensor t = Tensor::empty(shape, dtype);
  const RandomStream stream({17, purpose, 0});
  dispatch_floating(dtype, "random", [&](auto type) {
    for (int64_t i = 0; i < t.numel(); ++i)
      t.data<decltype(type)>()[i] =
          static_cast<decltype(type)>(2.0f * stream.uniform(static_cast<uint64_t>(i)) - 1.0f);
  });
  return t;
}

std::vector<AttentionSpec> specs(int64_t heads) {
  std::vector<float> slopes;
  for (int64_t h = 0; h < heads; ++h) slopes.push_back(0.25f * static_cast<float>(h + 1));
  return {{},
          {.pattern = AttentionPattern::causal()},
          {.pattern = AttentionPattern::causal(2), .score = {.scale = 0.7, .alibi = slopes}},
          {.dropout = 0.4, .dropout_key = {1, 2, 3}},
          {.pattern = AttentionPattern::causal(-3), .dropout = 0.2}};
}

TEST(AttentionGradient, AgreesWithDifferencesThroughOutAndLse) {
  const Tensor q = random({2, 4, 5, 6}, DType::f64, 1), k = random({2, 2, 7, 6}, DType::f64, 2),
               v = random({2, 2, 7, 3}, DType::f64, 3);
  for (const AttentionSpec& spec : specs(4)) {
    const bool has_empty_rows = spec.pattern.query_offset < 0;  // lse is -inf there
    EXPECT_EQ(gradcheck(
                  [&](const std::vector<Tensor>& x) {
                    const AttentionResult y = attention(x[0], x[1], x[2], spec);
                    return has_empty_rows ? std::vector<Tensor>{y.out}
                                          : std::vector<Tensor>{y.out, y.lse};
                  },
                  {q, k, v}),
              "");
  }
}

TEST(AttentionGradient, AgreesWithDifferencesThroughLseAlone) {
  const Tensor q = random({1, 2, 3, 4}, DType::f64, 1), k = random({1, 1, 5, 4}, DType::f64, 2),
               v = random({1, 1, 5, 4}, DType::f64, 3);
  EXPECT_EQ(gradcheck(
                [&](const std::vector<Tensor>& x) {
                  return attention(x[0], x[1], to(v, x[0].device()), {}).lse;
                },
                {q, k}),
            "");
}

TEST(AttentionGradient, OfPatternsAndScoreTermsAgreesWithDifferences) {
  const int64_t N = 12;
  const Tensor q = random({2, 2, N, 4}, DType::f64, 1), k = random({2, 1, N, 4}, DType::f64, 2),
               v = random({2, 1, N, 3}, DType::f64, 3);
  const Tensor warm = Tensor::full({2, 2, N}, 1.5, DType::f64);
  const Tensor key_warm = random({1, 2, N}, DType::f64, 5),
               bias = random({1, 2, N, N}, DType::f64, 6);
  const Tensor key_bias = random({2, 1, 1, N}, DType::f64, 7), sink = random({2}, DType::f64, 8);
  const Tensor table = random({2, 5 * 5}, DType::f64, 9);
  const std::vector<AttentionPattern> patterns = {
      AttentionPattern::window(3, 1),
      AttentionPattern::neighborhood({{.length = 3, .window = 2}, {.length = 4, .window = 3}}),
      AttentionPattern::causal() &
          AttentionPattern::segments({0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2})};
  for (const AttentionPattern& pattern : patterns) {
    EXPECT_EQ(gradcheck(
                  [&](const std::vector<Tensor>& x) {
                    AttentionSpec spec{.pattern = pattern};
                    spec.score.softcap = 1.3;
                    spec.score.query_temperature = x[3];
                    spec.score.key_temperature = x[4];
                    spec.score.bias = x[5];
                    spec.score.table = x[6];
                    spec.score.relative = relative_grid({3, 4}, {3, 3});
                    spec.score.sink = x[7];
                    const AttentionResult y = attention(x[0], x[1], x[2], spec);
                    return std::vector<Tensor>{y.out, y.lse};
                  },
                  {q, k, v, warm, key_warm, bias, table, sink}),
              "")
        << pattern.text();
    EXPECT_EQ(gradcheck(
                  [&](const std::vector<Tensor>& x) {
                    AttentionSpec spec{.pattern = pattern, .score = {.bias = x[1]}};
                    return attention_qkv(x[0], 2, 1, spec);
                  },
                  {random({2, N, 4 * 3}, DType::f64, 10), key_bias}),
              "");
  }
}

TEST(AttentionGradient, OfRelativeLogitsByAxisAgreesWithDifferences) {
  // HaloNet, arXiv 2103.12731: q.r(row offset) + q.r(column offset), tables shared by heads.
  const int64_t N = 12, D = 4;
  const Tensor q = random({2, 2, N, D}, DType::f64, 1), k = random({2, 1, N, D}, DType::f64, 2),
               v = random({2, 1, N, 3}, DType::f64, 3);
  const Tensor rows = random({5, D}, DType::f64, 4), columns = random({7, D}, DType::f64, 5);
  const std::vector<int64_t> grid{3, 4};
  EXPECT_EQ(gradcheck(
                [&](const std::vector<Tensor>& x) {
                  AttentionSpec spec{
                      .pattern = AttentionPattern::halo({{.length = 3, .block = 2, .halo = 1},
                                                         {.length = 4, .block = 2, .halo = 1}},
                                                        Border::virtual_keys)};
                  spec.score.relative_logits[0] = {relative_logits(x[0], x[3]),
                                                   relative_axis(grid, 0, 3)};
                  spec.score.relative_logits[1] = {relative_logits(x[0], x[4]),
                                                   relative_axis(grid, 1, 4)};
                  const AttentionResult y = attention(x[0], x[1], x[2], spec);
                  return std::vector<Tensor>{y.out, y.lse};
                },
                {q, k, v, rows, columns}),
            "");
}

TEST(AttentionGradient, OfRelativeValuesAgreesWithDifferences) {
  // Shaw et al., arXiv 1803.02155: tables of keys and of values by distance.
  const int64_t N = 7, D = 4;
  const Tensor q = random({2, 2, N, D}, DType::f64, 1), k = random({2, 1, N, D}, DType::f64, 2),
               v = random({2, 1, N, 3}, DType::f64, 3);
  const Tensor keys = random({2, 5, D}, DType::f64, 4), values = random({5, 3}, DType::f64, 5);
  for (const double dropout : {0.0, 0.3}) {
    EXPECT_EQ(gradcheck(
                  [&](const std::vector<Tensor>& x) {
                    AttentionSpec spec{.pattern = AttentionPattern::causal(),
                                       .dropout = dropout,
                                       .dropout_key = {1, 2, 3}};
                    const auto index = relative_positions(N, N, 2);
                    spec.score.relative_logits[0] = {relative_logits(x[0], x[3]), index};
                    const AttentionResult y = attention(x[0], x[1], x[2], spec);
                    const Tensor sums = attention_bucket_sums(x[0], x[1], y.lse, spec, index, 5);
                    return std::vector<Tensor>{add(y.out, matmul(sums, x[4])), sums};
                  },
                  {q, k, v, keys, values}),
              "");
  }
}

TEST(AttentionGradient, OfColumnSumsAgreesWithDifferences) {
  const auto check = [](const Shape& queries, const Shape& keys) {
    const int64_t heads = queries[1], rows = queries[2], columns = keys[2];
    const Tensor q = random(queries, DType::f64, 1), k = random(keys, DType::f64, 2);
    const Tensor weight = random({queries[0], heads, rows}, DType::f64, 3);
    const Tensor sink = random({heads}, DType::f64, 4);
    const Tensor bias = random({1, heads, 1, columns}, DType::f64, 5);
    EXPECT_EQ(gradcheck(
                  [&](const std::vector<Tensor>& x) {
                    AttentionSpec spec{.pattern = AttentionPattern::causal(columns - rows)};
                    spec.score.sink = x[3];
                    spec.score.bias = x[4];
                    const Tensor lse = attention(x[0], x[1], x[1], spec).lse;
                    return std::vector<Tensor>{attention_column_sums(x[0], x[1], lse, spec, x[2]),
                                               attention_column_sums(x[0], x[1], lse, spec)};
                  },
                  {q, k, weight, sink, bias}),
              "");
  };
  check(Shape{2, 4, 6, 4}, Shape{2, 2, 8, 4});
  check(Shape{1, 1, 7, 1}, Shape{1, 1, 7, 1});
  check(Shape{1, 3, 1, 5}, Shape{1, 1, 17, 5});
}

TEST(AttentionGradient, OfMergedPartsAgreesWithDifferences) {
  const Tensor q = random({1, 2, 5, 4}, DType::f64, 1), k = random({1, 1, 5, 4}, DType::f64, 2),
               v = random({1, 1, 5, 3}, DType::f64, 3);
  // A factor on what lies above the diagonal, after a softmax over all keys.
  const auto merged = [&](const std::vector<Tensor>& x, const std::vector<double>& factors) {
    const auto past = attention(x[0], x[1], x[2], {AttentionPattern::causal()});
    const auto future =
        attention(x[0], x[1], x[2],
                  {AttentionPattern::where("future", [](int64_t i, int64_t j) { return j > i; })});
    return merge_attentions({past, future}, factors);
  };
  for (const std::vector<double>& factors : {std::vector<double>{}, {1.0, 0.25}}) {
    EXPECT_EQ(gradcheck(
                  [&](const std::vector<Tensor>& x) {
                    const AttentionResult y = merged(x, factors);
                    return std::vector<Tensor>{y.out, y.lse};
                  },
                  {q, k, v}),
              "");
  }
  const auto all = attention(q, k, v, {}).out.to_vector<double>();
  const auto got = merged({q, k, v}, {}).out.to_vector<double>();
  for (size_t i = 0; i < all.size(); ++i) EXPECT_NEAR(got[i], all[i], 1e-14);
}

TEST(AttentionGradient, FrozenKeysAndValuesAskForTheQueriesGradientAlone) {
  const auto gradients = [](bool keys) {
    Tensor q = random({1, 2, 70, 16}, DType::f32, 1), k = random({1, 2, 70, 16}, DType::f32, 2),
           v = random({1, 2, 70, 16}, DType::f32, 3);
    require_grad(q);
    if (keys) require_grad(k), require_grad(v);
    const Tensor y = attention(q, k, v, {AttentionPattern::causal()}).out;
    backward(y, random(y.shape(), DType::f32, 4));
    return std::pair(grad(q), grad(k));
  };
  const auto [frozen_q, frozen_k] = gradients(false);
  const auto [all_q, all_k] = gradients(true);
  EXPECT_FALSE(frozen_k.defined());
  EXPECT_TRUE(all_k.defined());
  EXPECT_EQ(frozen_q.to_vector<float>(), all_q.to_vector<float>());
}

TEST(AttentionGradient, OfPackedTensorAgreesWithDifferences) {
  const Tensor qkv = random({2, 5, (4 + 2 * 2) * 3}, DType::f64, 4);
  for (const AttentionSpec& spec : specs(4)) {
    EXPECT_EQ(
        gradcheck([&](const std::vector<Tensor>& x) { return attention_qkv(x[0], 4, 2, spec); },
                  {qkv}),
        "");
  }
}

TEST(AttentionGradient, PackedEqualsSeparateParts) {
  const int64_t B = 2, N = 70, H = 4, Hkv = 2, D = 16;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const AttentionSpec spec{.pattern = AttentionPattern::causal(), .dropout = 0.1};
    Tensor packed = random({B, N, (H + 2 * Hkv) * D}, dtype, 5);
    const Tensor dy = random({B, N, H * D}, dtype, 6);
    require_grad(packed);
    const Tensor y = attention_qkv(packed, H, Hkv, spec);
    backward(y, dy);

    Tensor same = packed.detach();
    require_grad(same);
    const Tensor heads = reshape(same, {B, N, H + 2 * Hkv, D});
    auto part = [&](int64_t first, int64_t count) {
      return transpose(slice(heads, 2, first, first + count), 1, 2);
    };
    const Tensor out = attention(part(0, H), part(H, Hkv), part(H + Hkv, Hkv), spec).out;
    const Tensor merged = reshape(transpose(out, 1, 2), {B, N, H * D});
    backward(merged, dy);
    EXPECT_EQ(y.to_vector<float>(), merged.to_vector<float>());
    EXPECT_EQ(grad(packed).to_vector<float>(), grad(same).to_vector<float>());
  }
}

TEST(RotaryGradient, AgreesWithDifferences) {
  const auto check = [](const Shape& heads, const Tensor& positions) {  // [B, H, N, D]
    const int64_t count = heads[1], dim = heads[3];
    const Tensor x = random(heads, DType::f64, 7);
    const Tensor qkv = random({heads[0], heads[2], (count + 2) * dim}, DType::f64, 8);
    for (const RotaryOptions& options :
         {RotaryOptions{}, RotaryOptions{.base = 100.0, .rotary_dim = 4, .interleaved = true}}) {
      EXPECT_EQ(
          gradcheck(
              [&](const std::vector<Tensor>& in) { return rotary(in[0], positions, options); },
              {x}),
          "");
      EXPECT_EQ(gradcheck(
                    [&](const std::vector<Tensor>& in) {
                      return rotary_qkv(in[0], count, 1, positions, options);
                    },
                    {qkv}),
                "");
    }
  };
  check(Shape{2, 3, 4, 6}, Tensor::from<int64_t>({3, 1, 4, 15}, {4}));
  check(Shape{2, 3, 4, 6}, Tensor::from<int64_t>({0, 1, 2, 3, 7, 8, 9, 10}, {2, 4}));
  check(Shape{1, 1, 1, 4}, Tensor::from<int64_t>({17}, {1}));
  check(Shape{3, 1, 7, 10}, Tensor::from<int64_t>({0, 5, 2, 9, 1, 1, 30}, {7}));
}

TEST(Rotary, PackedTurnsQueriesAndKeysAndKeepsValues) {
  const int64_t B = 1, N = 4, H = 3, Hkv = 1, D = 6;
  const Tensor qkv = random({B, N, (H + 2 * Hkv) * D}, DType::f32, 8);
  const Tensor positions = Tensor::from<int64_t>({0, 5, 6, 100}, {4});
  const Tensor turned = rotary_qkv(qkv, H, Hkv, positions);
  auto heads = [&](const Tensor& t, int64_t first, int64_t count) {
    return transpose(slice(reshape(t, {B, N, H + 2 * Hkv, D}), 2, first, first + count), 1, 2);
  };
  EXPECT_EQ(heads(turned, 0, H + Hkv).to_vector<float>(),
            rotary(heads(qkv, 0, H + Hkv), positions).to_vector<float>());
  EXPECT_EQ(heads(turned, H + Hkv, Hkv).to_vector<float>(),
            heads(qkv, H + Hkv, Hkv).to_vector<float>());
}

}  // namespace
}  // namespace heed
