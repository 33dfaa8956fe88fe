// Softmax attention against the obvious loops, its gradients, and the key-value cache.
#include <gtest/gtest.h>

#include <map>

#include "nn/attention/registry.h"
#include "nn/attention/softmax_attention.h"
#include "nn/layers/alibi.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::random_tensor;
using testing::relative_distance;

using Matrix = std::vector<std::vector<double>>;  // [rows][columns]

// One sequence, in f64: x weight^T + bias.
Matrix affine(const Matrix& x, const Tensor& weight, const Tensor& bias) {
  const std::vector<double> w = weight.to_vector<double>();
  const auto in = static_cast<size_t>(weight.size(1)), out = static_cast<size_t>(weight.size(0));
  Matrix y(x.size(), std::vector<double>(out, 0.0));
  const std::vector<double> b =
      bias.defined() ? bias.to_vector<double>() : std::vector<double>(out);
  for (size_t n = 0; n < x.size(); ++n) {
    for (size_t o = 0; o < out; ++o) {
      y[n][o] = b[o];
      for (size_t i = 0; i < in; ++i) y[n][o] += x[n][i] * w[o * in + i];
    }
  }
  return y;
}

void normalise(std::vector<double>& head, const Tensor& weight, double eps) {
  const std::vector<double> w = weight.to_vector<double>();
  double square = 0.0;
  for (const double v : head) square += v * v / static_cast<double>(head.size());
  for (size_t i = 0; i < head.size(); ++i) head[i] *= w[i] / std::sqrt(square + eps);
}

void rotate(std::vector<double>& head, size_t position, double base) {
  const size_t half = head.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(head.size());
    const double angle = static_cast<double>(position) * std::pow(base, exponent);
    const double a = head[i], b = head[i + half];
    head[i] = a * std::cos(angle) - b * std::sin(angle);
    head[i + half] = a * std::sin(angle) + b * std::cos(angle);
  }
}

// The whole mechanism on one sequence, pair by pair.
Matrix reference(const Matrix& x, const std::map<std::string, Tensor>& w,
                 const AttentionHost& host) {
  const auto find = [&](const char* name) { return w.contains(name) ? w.at(name) : Tensor(); };
  const Matrix packed = affine(x, find("qkv.weight"), find("qkv.bias"));
  const auto heads = static_cast<size_t>(host.heads), kv = static_cast<size_t>(host.kv_heads);
  const auto width = static_cast<size_t>(host.head_dim);
  const auto head_of = [&](size_t n, size_t slot, const char* norm) {
    const auto begin = packed[n].begin() + static_cast<std::ptrdiff_t>(slot * width);
    std::vector<double> head(begin, begin + static_cast<std::ptrdiff_t>(width));
    if (norm && host.qk_norm) normalise(head, find(norm), host.norm_eps);
    if (norm && host.position == "rotary") rotate(head, n, host.rope_base);
    return head;
  };
  const std::vector<float> slopes = alibi_slopes(host.heads);
  Matrix mixed(x.size(), std::vector<double>(heads * width, 0.0));
  for (size_t h = 0; h < heads; ++h) {
    const size_t group = h / (heads / kv);
    for (size_t i = 0; i < x.size(); ++i) {
      const std::vector<double> q = head_of(i, h, "q_norm.weight");
      const size_t keys = host.causal ? i + 1 : x.size();
      double total = 0.0;
      for (size_t j = 0; j < keys; ++j) {
        const std::vector<double> k = head_of(j, heads + group, "k_norm.weight");
        const std::vector<double> v = head_of(j, heads + kv + group, nullptr);
        double score = 0.0;
        for (size_t d = 0; d < width; ++d) score += q[d] * k[d];
        score /= std::sqrt(static_cast<double>(width));
        if (host.position == "alibi") {
          score -= static_cast<double>(slopes[h]) * static_cast<double>(i - j);
        }
        total += std::exp(score);
        for (size_t d = 0; d < width; ++d) mixed[i][h * width + d] += std::exp(score) * v[d];
      }
      for (size_t d = 0; d < width; ++d) mixed[i][h * width + d] /= total;
    }
  }
  return affine(mixed, find("out.weight"), find("out.bias"));
}

class SoftmaxAttentionKinds : public ::testing::TestWithParam<AttentionHost> {};

TEST_P(SoftmaxAttentionKinds, EqualsTheObviousLoops) {
  const AttentionHost host = GetParam().resolved();
  const auto mechanism = make_attention(Config(), host);
  mechanism->initialise(1);
  mechanism->convert(DType::f64);
  testing::randomise(*mechanism);
  const Tensor x = random_tensor({2, 7, host.dim}, "x", DType::f64);
  const Tensor y = mechanism->forward(x);
  ASSERT_EQ(y.shape(), x.shape());

  const auto state = state_dict(*mechanism);
  const std::vector<double> values = x.to_vector<double>();
  std::vector<double> expected;
  auto value = values.begin();
  for (int b = 0; b < 2; ++b) {
    Matrix sequence(7);
    for (auto& row : sequence) {
      row.assign(value, value + static_cast<std::ptrdiff_t>(host.dim));
      value += static_cast<std::ptrdiff_t>(host.dim);
    }
    for (const auto& row : reference(sequence, {state.begin(), state.end()}, host)) {
      expected.insert(expected.end(), row.begin(), row.end());
    }
  }
  // Sums of some tens of terms, three deep, and exponentials: well under a thousand roundings.
  EXPECT_LT(relative_distance(y, Tensor::from(expected, y.shape())), 1000 * 0x1p-53);
}

TEST_P(SoftmaxAttentionKinds, GradientEqualsCentralDifferences) {
  const AttentionHost& host = GetParam();
  const Config config = write_options(host);
  const Tensor x = random_tensor({1, 3, host.dim}, "x", DType::f64);
  EXPECT_EQ(testing::gradcheck_module("softmax", "attention", config, {{"x", x}}), "");
}

INSTANTIATE_TEST_SUITE_P(
    Hosts, SoftmaxAttentionKinds,
    ::testing::Values(AttentionHost{.dim = 6, .heads = 2},
                      AttentionHost{.dim = 6, .heads = 3, .causal = false, .bias = false},
                      AttentionHost{.dim = 8, .heads = 4, .kv_heads = 2, .position = "rotary"},
                      AttentionHost{.dim = 6, .heads = 3, .kv_heads = 1, .position = "alibi"},
                      AttentionHost{.dim = 5,
                                    .heads = 2,
                                    .head_dim = 4,
                                    .position = "rotary",
                                    .rope_base = 50.0,
                                    .bias = false,
                                    .qkv_bias = true,
                                    .qk_norm = true},
                      AttentionHost{.dim = 4, .heads = 1, .causal = false, .qk_norm = true}));

TEST(SoftmaxAttention, ScaleReplacesItsDefault) {
  const AttentionHost host{.dim = 8, .heads = 2};
  const auto plain = make_attention(Config(), host);
  const auto scaled = make_attention(parse_yaml("{type: softmax, scale: 0.5}", "test"), host);
  plain->initialise(1);
  scaled->initialise(1);
  const Tensor x = random_tensor({1, 5, 8}, "x");
  EXPECT_TRUE(testing::bitwise_equal(plain->forward(x), scaled->forward(x)));  // 1/sqrt(4)
}

TEST(SoftmaxAttention, DropoutIsKeyedByStepAndOffInEvaluation) {
  const AttentionHost host{.dim = 8, .heads = 2, .dropout = 0.3};
  const auto mechanism = make_attention(Config(), host);
  mechanism->initialise(1);
  const Tensor x = random_tensor({2, 9, 8}, "x");
  random_context() = {.seed = 1, .step = 1};
  const Tensor first = mechanism->forward(x);
  EXPECT_TRUE(testing::bitwise_equal(first, mechanism->forward(x)));
  random_context().step = 2;
  EXPECT_FALSE(testing::bitwise_equal(first, mechanism->forward(x)));
  mechanism->eval();
  const Tensor evaluated = mechanism->forward(x);
  random_context().step = 3;
  EXPECT_TRUE(testing::bitwise_equal(evaluated, mechanism->forward(x)));
  random_context() = {};
}

TEST(SoftmaxAttention, CountsItsOperations) {
  const AttentionHost host{.dim = 8, .heads = 2, .kv_heads = 1};
  const double projections = 2.0 * 5 * (8 * (2 + 2) * 4 + 8 * 8);
  EXPECT_EQ(make_attention(Config(), host)->flops(5), projections + 4.0 * 15 * 8);
  AttentionHost both = host;
  both.causal = false;
  EXPECT_EQ(make_attention(Config(), both)->flops(5), projections + 4.0 * 25 * 8);
}

TEST(AttentionHost, RefusesWidthsThatDoNotFit) {
  EXPECT_THROW((AttentionHost{.dim = 7, .heads = 2}.resolved()), Error);
  EXPECT_THROW((AttentionHost{.dim = 8, .heads = 4, .kv_heads = 3}.resolved()), Error);
  EXPECT_THROW((AttentionHost{.dim = 6, .heads = 2, .position = "rotary"}.resolved()), Error);
  EXPECT_THROW(
      make_attention(Config(),
                     AttentionHost{.dim = 6, .heads = 2, .causal = false, .position = "alibi"}),
      Error);
}

TEST(KvCache, KeepsWhatWasAppendedWhileItGrows) {
  KvCache cache(2, 2);
  Tensor keys, values;
  for (int64_t step = 0; step < 5; ++step) {
    const int64_t tokens = step == 0 ? 3 : 1;
    for (int64_t layer = 0; layer < 2; ++layer) {
      const Tensor k = Tensor::full({2, 3, tokens, 4}, static_cast<double>(10 * layer + step));
      const Tensor v = Tensor::full({2, 3, tokens, 2}, static_cast<double>(-step));
      std::tie(keys, values) = cache.append(layer, k, v);
    }
    cache.advance(tokens);
  }
  EXPECT_EQ(cache.length(), 7);
  EXPECT_EQ(keys.shape(), Shape({2, 3, 7, 4}));
  EXPECT_EQ(values.shape(), Shape({2, 3, 7, 2}));
  const std::vector<double> k = keys.to_vector<double>();
  const double expected[] = {10, 10, 10, 11, 12, 13, 14};
  for (size_t i = 0; i < k.size(); ++i) EXPECT_EQ(k[i], expected[i / 4 % 7]) << i;
  cache.truncate(1);
  EXPECT_EQ(cache.append(0, Tensor::zeros({2, 3, 1, 4}), Tensor::zeros({2, 3, 1, 2})).first.size(2),
            2);
  EXPECT_THROW(cache.append(0, Tensor::zeros({1, 3, 1, 4}), Tensor::zeros({1, 3, 1, 2})), Error);
  EXPECT_THROW(cache.append(2, Tensor::zeros({2, 3, 1, 4}), Tensor::zeros({2, 3, 1, 2})), Error);
}

}  // namespace
}  // namespace heed::nn
