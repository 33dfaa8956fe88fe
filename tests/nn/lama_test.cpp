#include "nn/pooling/lama.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "nn/models/gru_classifier.h"
#include "nn/pooling/additive.h"
#include "nn/pooling/registry.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::gradcheck_module;
using testing::random_ids;
using testing::random_tensor;
using testing::randomise;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

Tensor lengths_of(const std::vector<int64_t>& lengths) {
  return Tensor::from(lengths, {static_cast<int64_t>(lengths.size())});
}

std::unique_ptr<Pooling> made(const std::string& slot, int64_t dim, bool bidirectional = false) {
  std::unique_ptr<Pooling> pooling = make_pooling(yaml(slot), {dim, bidirectional});
  pooling->initialise(3);
  pooling->convert(DType::f64);
  randomise(*pooling);
  return pooling;
}

/// The definition, a token and a head at a time: of x [N, dim], its first `count` tokens.
std::vector<std::vector<double>> lama_weights(Lama& lama, const Tensor& x, int64_t count,
                                              bool identity) {
  const int64_t dim = x.size(1), heads = lama.heads();
  const auto p = lama.p.weight.to_vector<double>(), q = lama.q.weight.to_vector<double>();
  const auto values = x.to_vector<double>();
  std::vector<double> c(static_cast<size_t>(dim), 0.0);
  if (lama.context.defined()) c = lama.context.to_vector<double>();
  for (int64_t t = 0; t < count && !lama.context.defined(); ++t)
    for (int64_t i = 0; i < dim; ++i)
      c[static_cast<size_t>(i)] +=
          values[static_cast<size_t>(t * dim + i)] / static_cast<double>(count);

  std::vector<std::vector<double>> weights(static_cast<size_t>(heads));
  std::vector<double> sums(static_cast<size_t>(heads), 0.0);
  for (int64_t t = 0; t < count; ++t) {
    std::vector<double> u(values.begin() + t * dim, values.begin() + (t + 1) * dim);
    if (lama.annotation) {
      const auto w = lama.annotation->weight.to_vector<double>();
      const auto b = lama.annotation->bias.to_vector<double>();
      std::vector<double> own(u.size());
      for (size_t o = 0; o < u.size(); ++o) {
        double sum = b[o];
        for (size_t i = 0; i < u.size(); ++i) sum += w[o * u.size() + i] * u[i];
        own[o] = std::tanh(sum);
      }
      u = own;
    }
    std::vector<double> f(static_cast<size_t>(heads));
    double square = 1e-8;
    for (size_t h = 0; h < f.size(); ++h) {
      double of_context = 0.0, of_token = 0.0;
      for (size_t i = 0; i < u.size(); ++i) {
        of_context += p[h * u.size() + i] * c[i];
        of_token += q[h * u.size() + i] * u[i];
      }
      f[h] = identity ? of_context * of_token : std::tanh(of_context * of_token);
      square += f[h] * f[h];
    }
    for (size_t h = 0; h < f.size(); ++h) {
      weights[h].push_back(std::exp(f[h] / std::sqrt(square)));
      sums[h] += weights[h].back();
    }
  }
  for (size_t h = 0; h < weights.size(); ++h)
    for (double& weight : weights[h]) weight /= sums[h];
  return weights;
}

TEST(Lama, FollowsItsDefinition) {
  const std::vector<int64_t> counts = {5, 1, 3};
  const Tensor x = random_tensor({3, 5, 7}, "x", DType::f64);
  for (const char* slot : {"{type: lama, heads: 3}", "{type: lama, heads: 2, context: mean}",
                           "{type: lama, heads: 5, annotation: false, activation: identity}",
                           "{type: lama, heads: 4, context: mean, annotation: false}"}) {
    const auto pooling = made(slot, 7);
    auto& lama = dynamic_cast<Lama&>(*pooling);
    const NoGrad none;
    const Tensor weights = lama.weights(x, lengths_of(counts));
    const Tensor sums = lama.forward(x, lengths_of(counts));
    const bool identity = yaml(slot).has("activation");
    ASSERT_EQ(weights.shape(), (Shape{3, lama.heads(), 5}));
    ASSERT_EQ(sums.shape(), (Shape{3, lama.heads() * 7}));
    const auto found = weights.to_vector<double>(), pooled = sums.to_vector<double>();
    const auto values = x.to_vector<double>();
    for (size_t row = 0; row < 3; ++row) {
      const auto wanted =
          lama_weights(lama, views::select(x, 0, static_cast<int64_t>(row)), counts[row], identity);
      for (size_t h = 0; h < wanted.size(); ++h) {
        for (size_t t = 0; t < 5; ++t) {
          const double weight = found[(row * wanted.size() + h) * 5 + t];
          if (t < wanted[h].size()) {
            EXPECT_NEAR(weight, wanted[h][t], 1e-12) << slot;
          } else {
            EXPECT_EQ(weight, 0.0) << "padding";
          }
        }
        for (size_t i = 0; i < 7; ++i) {
          double sum = 0.0;
          for (size_t t = 0; t < wanted[h].size(); ++t)
            sum += wanted[h][t] * values[(row * 5 + t) * 7 + i];
          EXPECT_NEAR(pooled[(row * wanted.size() + h) * 7 + i], sum, 1e-12) << slot;
        }
      }
    }
  }
}

TEST(Lama, WorkedExample) {
  const auto pooling = made("{type: lama, heads: 2, annotation: false}", 2);
  auto& lama = dynamic_cast<Lama&>(*pooling);
  const NoGrad none;
  const Tensor unit = Tensor::from(std::vector<double>{1, 0, 0, 1}, {2, 2});
  lama.p.weight = unit;
  lama.q.weight = unit;
  lama.context = Tensor::from(std::vector<double>{1, 0.5}, {2});
  const Tensor u = Tensor::from(std::vector<double>{1, 1, 0.5, -1}, {1, 2, 2});
  const auto weights = lama.weights(u, {}).to_vector<double>();
  const double wanted[] = {0.5369, 0.4631, 0.7731, 0.2269};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(weights[i], wanted[i], 5e-5);
  const Tensor heavier = mul(lama.context, 3.0);
  lama.context = heavier;
  EXPECT_GT(relative_distance(lama.weights(u, {}), Tensor::from(weights, {1, 2, 2})), 1e-3)
      << "tanh saturates";
}

TEST(Lama, WithoutTanhTheSizeOfTheContextDoesNotMatter) {
  const auto pooling = made("{type: lama, heads: 3, activation: identity}", 6);
  auto& lama = dynamic_cast<Lama&>(*pooling);
  const NoGrad none;
  const Tensor x = random_tensor({2, 9, 6}, "x", DType::f64);
  const Tensor weights = lama.weights(x, {});
  lama.context = mul(lama.context, 7.0);
  EXPECT_LT(relative_distance(lama.weights(x, {}), weights), 1e-6) << "up to the epsilon";
}

TEST(Lama, NoWeightIsMoreThanESquaredOfAnother) {
  const auto pooling = made("{type: lama, heads: 4}", 8);
  const NoGrad none;
  const Tensor x = mul(random_tensor({1, 200, 8}, "x", DType::f64), 30.0);
  const auto weights = pooling->weights(x, {}).to_vector<double>();
  for (size_t head = 0; head < 4; ++head) {
    const auto [least, most] =
        std::minmax_element(weights.begin() + static_cast<int64_t>(head) * 200,
                            weights.begin() + static_cast<int64_t>(head + 1) * 200);
    EXPECT_LE(*most / *least, std::exp(2.0) * (1.0 + 1e-12));
    EXPECT_GT(*most / *least, 3.0) << "and some come near";
  }
}

TEST(Lama, TablesOfZerosWeighAllAlikeAndHaveGradients) {
  const auto pooling = made("{type: lama, heads: 3}", 4);
  auto& lama = dynamic_cast<Lama&>(*pooling);
  lama.p.weight = Tensor::zeros({3, 4}, DType::f64);
  require_grad(lama.p.weight);
  const Tensor x = random_tensor({1, 5, 4}, "x", DType::f64);
  for (const double weight : lama.weights(x, {}).to_vector<double>())
    EXPECT_NEAR(weight, 0.2, 1e-15);
  const Tensor loss = sum(square(lama.forward(x, {})));
  backward(loss);
  ASSERT_TRUE(grad(lama.p.weight).defined());
  for (const double g : grad(lama.p.weight).to_vector<double>()) EXPECT_TRUE(std::isfinite(g));
}

TEST(Lama, EqualColumnsAreEqualHeads) {
  const auto pooling = made("{type: lama, heads: 3}", 4);
  auto& lama = dynamic_cast<Lama&>(*pooling);
  const NoGrad none;
  for (Linear* table : {&lama.p, &lama.q}) {
    double* values = table->weight.data<double>();
    std::copy_n(values, 4, values + 8);
  }
  const auto weights = lama.weights(random_tensor({1, 6, 4}, "x", DType::f64), {});
  EXPECT_EQ(views::select(weights, 1, 0).to_vector<double>(),
            views::select(weights, 1, 2).to_vector<double>());
  EXPECT_NE(views::select(weights, 1, 0).to_vector<double>(),
            views::select(weights, 1, 1).to_vector<double>());
}

TEST(Lama, ALearnedContextScoresATokenAlikeInEveryText) {
  // Of two tokens that two texts share, the quotient of weights is that of their scores.
  const Tensor x = random_tensor({2, 4, 6}, "x", DType::f64);
  std::copy_n(x.data<double>(), 12, x.data<double>() + 24);
  const auto quotients = [&](const char* slot) {
    const auto pooling = made(slot, 6);
    const NoGrad none;
    const auto w = pooling->weights(x, {}).to_vector<double>();  // [2, 3, 4]
    return std::pair(w[0] / w[1], w[12] / w[13]);
  };
  const auto [a, b] = quotients("{type: lama, heads: 3}");
  EXPECT_NEAR(a, b, 1e-12);
  const auto [c, d] = quotients("{type: lama, heads: 3, context: mean}");
  EXPECT_GT(std::abs(c - d), 1e-6);
}

TEST(Lama, GradientsAgreeWithDifferences) {
  const Inputs inputs{{"x", random_tensor({2, 4, 3}, "x", DType::f64)},
                      {"lengths", lengths_of({3, 4})}};
  for (const char* config : {"{dim: 3, heads: 3}", "{dim: 3, heads: 2, context: mean, scale: 2.5}",
                             "{dim: 3, heads: 2, annotation: false, activation: identity}"})
    EXPECT_EQ(gradcheck_module("lama", "pooling", yaml(config), inputs), "") << config;
  for (const char* config : {"{dim: 3}", "{dim: 3, heads: 2, hidden: 5, bias: false}"})
    EXPECT_EQ(gradcheck_module("additive", "pooling", yaml(config), inputs), "") << config;
  EXPECT_EQ(gradcheck_module("mean", "pooling", yaml("{dim: 3}"), inputs), "");
  const Inputs even{{"x", random_tensor({2, 4, 4}, "x", DType::f64)},
                    {"lengths", lengths_of({3, 4})}};
  for (const char* config : {"{dim: 4}", "{dim: 4, bidirectional: true}"})
    EXPECT_EQ(gradcheck_module("last", "pooling", yaml(config), even), "") << config;
}

TEST(Lama, ParametersAsCounted) {
  const std::pair<const char*, int64_t> counts[] = {
      {"{type: lama}", 5248},
      {"{type: lama, context: mean}", 5184},
      {"{type: lama, annotation: false}", 1088},
      {"{type: additive}", 4224},
      {"{type: additive, heads: 8, hidden: 64, bias: false}", 4608},
      {"mean", 0},
      {"last", 0}};
  for (const auto& [slot, count] : counts)
    EXPECT_EQ(make_pooling(yaml(slot), {64})->parameter_count(), count) << slot;
  const auto mini = make_classifier(
      yaml("{type: gru_classifier, dim: 48, hidden: 32, head_hidden: 64, pool: lama}"), 8,
      ClassifierInput::tokens(1000, 48));
  EXPECT_EQ(mini->parameter_count(), 48000 + 15744 + 5248 + (512 * 64 + 64) + (64 * 8 + 8));
}

TEST(Poolings, PaddingHasNoInfluence) {
  const Tensor x = random_tensor({2, 6, 4}, "x", DType::f64);
  for (const PoolingEntry& entry : pooling_registry()) {
    const auto pooling = made(entry.name, 4);
    const NoGrad none;
    const Tensor short_row = pooling->forward(views::slice(views::slice(x, 0, 0, 1), 1, 0, 4), {});
    const Tensor padded = pooling->forward(x, lengths_of({4, 6}));
    EXPECT_EQ(padded.shape(), (Shape{2, pooling->width()})) << entry.name;
    EXPECT_LT(relative_distance(views::slice(padded, 0, 0, 1), short_row), 1e-14) << entry.name;
    if (pooling->heads() == 0) continue;
    const auto weights = pooling->weights(x, lengths_of({4, 6}));
    for (const double all : sum(weights, {2}).to_vector<double>()) EXPECT_NEAR(all, 1.0, 1e-14);
  }
}

TEST(Poolings, LastIsTheRecurrencesState) {
  const Tensor x = random_tensor({3, 5, 2}, "x");
  const Tensor lengths = lengths_of({5, 1, 3});
  for (const bool both : {false, true}) {
    Gru gru({.in = 2, .hidden = 3, .bidirectional = both});
    gru.initialise(1);
    const NoGrad none;
    for (const Tensor& counts : {lengths, Tensor()}) {
      const Recurrent::Result result = gru.run(x, counts);
      const auto last = make_pooling(Config("last"), {gru.width(), both});
      EXPECT_TRUE(testing::bitwise_equal(last->forward(result.out, counts), result.state));
    }
  }
}

TEST(Poolings, AMistakeIsNamed) {
  const auto error = [](const std::string& slot) -> std::string {
    try {
      make_pooling(yaml(slot), {8});
    } catch (const RequestError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error("lamma"),
              ::testing::HasSubstr("unknown pooling 'lamma' (did you mean 'lama'?)"));
  EXPECT_THAT(error("{type: lama, heads: 1}"), ::testing::HasSubstr("heads"));
  EXPECT_THAT(error("{type: mean, heads: 4}"), ::testing::HasSubstr("heads"));
}

TEST(GruClassifier, TellsTheWeightsOfItsTokens) {
  const auto model = make_classifier(
      yaml("{type: gru_classifier, dim: 8, hidden: 6, pool: {type: lama, heads: 3}}"), 4,
      ClassifierInput::tokens(50, 12));
  model->initialise(3);
  model->eval();
  const NoGrad none;
  ASSERT_TRUE(model->weighs_tokens());
  const Tensor weights = model->token_weights(random_ids({2, 12}, 50, "ids"), lengths_of({5, 12}));
  EXPECT_EQ(weights.shape(), (Shape{2, 3, 12}));
  EXPECT_EQ(weights.to_vector<float>()[5], 0.0f);
}

}  // namespace
}  // namespace heed::nn
