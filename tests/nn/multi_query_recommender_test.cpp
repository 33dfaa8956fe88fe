#include "nn/models/multi_query_recommender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "nn/attention/registry.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::decoding_distance;
using testing::gradcheck_module;
using testing::random_tensor;
using testing::randomise;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

Tensor numbers(const std::vector<int64_t>& values, const Shape& shape) {
  return Tensor::from(values, shape);
}

std::unique_ptr<MultiQueryRecommender> model_of(const std::string& text) {
  auto model = std::make_unique<MultiQueryRecommender>(
      read_options<MultiQueryRecommenderOptions>(yaml(text), "model"));
  model->initialise(3);
  model->convert(DType::f64);
  randomise(*model);
  model->eval();
  return model;
}

TEST(MeanOfLast, CountsWhatThereIs) {
  const Tensor x = Tensor::from(std::vector<double>{6, 12, 30, 9}, {1, 4, 1});
  EXPECT_EQ(mean_of_last(x, 3).to_vector<double>(), (std::vector<double>{6, 9, 16, 17}));
  EXPECT_EQ(mean_of_last(x, 1).to_vector<double>(), x.to_vector<double>());
  EXPECT_EQ(mean_of_last(x, 9).to_vector<double>(), (std::vector<double>{6, 9, 16, 14.25}));
}

TEST(AveragedQuery, GradientsAgreeWithDifferences) {
  const Inputs inputs{{"x", random_tensor({2, 5, 4}, "x", DType::f64)}};
  for (const char* config : {"{dim: 4, heads: 2}", "{dim: 4, heads: 1, window: 7}",
                             "{dim: 4, heads: 2, kv_heads: 1, window: 2, position: rotary}"})
    EXPECT_EQ(gradcheck_module("averaged_query", "attention", yaml(config), inputs), "") << config;
}

TEST(AveragedQuery, AWindowOfOneIsSoftmaxAttention) {
  const Config host = yaml("{dim: 12, heads: 3, position: rotary, kv_heads: 1}");
  const auto outputs = [&](const char* name, int64_t window) {
    Config config = host;
    if (window > 0) config.set("window", window);
    const auto module = find_module(name, "attention").make(config);
    module->initialise(4);
    const NoGrad none;
    return static_cast<AttentionMechanism&>(*module).forward(random_tensor({2, 9, 12}, "x"));
  };
  EXPECT_LT(relative_distance(outputs("averaged_query", 1), outputs("softmax", 0)), 1e-6);
  EXPECT_GT(relative_distance(outputs("averaged_query", 2), outputs("softmax", 0)), 1e-3);
}

TEST(AveragedQuery, DecodesAsItReads) {
  for (const int64_t window : {1, 3, 20}) {
    Config config = yaml("{dim: 12, heads: 3, position: rotary}");
    config.set("window", window);
    const auto module = find_module("averaged_query", "attention").make(config);
    module->initialise(4);
    module->eval();
    auto& mechanism = static_cast<AttentionMechanism&>(*module);
    KvCache cache(1, 4);
    EXPECT_LT(
        decoding_distance(mechanism, random_tensor({2, 17, 12}, "x"), {1, 1, 5, 2, 1, 7}, cache),
        1e-5)
        << window;
  }
}

constexpr const char* kSmall = "{items: 9, context: 6, dim: 8, dropout: 0.2, norm_eps: 1e-5, ";

TEST(MultiQueryRecommender, GradientsAgreeWithDifferences) {
  const Inputs inputs = {{"items", numbers({4, 2, 9, 0, 1, 0, 0, 0}, {2, 4})},
                         {"targets", numbers({2, 9, 5, 0, 7, 0, 0, 0}, {2, 4})},
                         {"negatives", numbers({1, 3, 3, 0, 2, 0, 0, 0}, {2, 4, 1})}};
  for (const char* more : {"}", "heads: 2, layers: 2}", "alpha: 1}", "alpha: 0, window: 2}"}) {
    for (const bool train : {false, true}) {
      EXPECT_EQ(gradcheck_module("multi_query_recommender", "model",
                                 yaml(std::string(kSmall) + more), inputs, train),
                "")
          << more;
    }
  }
}

TEST(RecurrentRecommender, GradientsAgreeWithDifferences) {
  const Inputs inputs = {{"items", numbers({4, 2, 9, 0, 1, 0, 0, 0}, {2, 4})},
                         {"targets", numbers({2, 9, 5, 0, 7, 0, 0, 0}, {2, 4})}};
  EXPECT_EQ(
      gradcheck_module("recurrent_recommender", "model",
                       yaml("{items: 9, context: 6, dim: 5, hidden: 4, layers: 2}"), inputs, true),
      "");
}

TEST(MultiQueryRecommender, HasTheParametersOfTheOfficialCode) {
  const std::pair<int64_t, int64_t> counts[] = {
      {12101, 820032}, {18357, 1220416}, {11924, 808704}, {20033, 1327680}};
  for (const auto& [items, parameters] : counts) {
    Config config = yaml("{}");
    config.set("items", items);
    EXPECT_EQ(find_module("multi_query_recommender").make(config)->parameter_count(), parameters);
  }
}

TEST(MultiQueryRecommender, EarlierPlacesDoNotSeeLaterItems) {
  const auto model = model_of(std::string(kSmall) + "window: 3}");
  const NoGrad none;
  const Tensor a = model->features(numbers({4, 2, 9, 1, 5}, {1, 5}));
  const Tensor b = model->features(numbers({4, 2, 9, 7, 5}, {1, 5}));
  EXPECT_TRUE(bitwise_equal(views::slice(a, 1, 0, 3), views::slice(b, 1, 0, 3)));
  EXPECT_GT(relative_distance(views::slice(a, 1, 4, 5), views::slice(b, 1, 4, 5)), 1e-6);
}

TEST(MultiQueryRecommender, PaddingHasNoInfluence) {
  const auto model = model_of(std::string(kSmall) + "window: 3}");
  const NoGrad none;
  const Tensor alone = model->forward(numbers({4, 2}, {1, 2}));
  const Tensor padded = model->forward(numbers({4, 2, 0, 0, 1, 2, 3, 4}, {2, 4}));
  EXPECT_LT(relative_distance(views::slice(padded, 0, 0, 1), alone), 1e-14);
}

TEST(MultiQueryRecommender, AlphaMixesTheBranchesAndTheirScoresAlike) {
  const auto both = model_of(std::string(kSmall) + "alpha: 0.3}");
  const auto one = model_of(std::string(kSmall) + "alpha: 1}");
  const auto other = model_of(std::string(kSmall) + "alpha: 0}");
  const NoGrad none;  // random values go by name, so the branches are the same
  const Tensor items = numbers({4, 2, 9, 1, 5}, {1, 5});
  const Tensor mixed = add(mul(one->forward(items), 0.3), mul(other->forward(items), 0.7));
  EXPECT_LT(relative_distance(both->forward(items), mixed), 1e-12);
}

/// The definition, with whole softmaxes.
double dense_distillation(const Tensor& x, const std::vector<int64_t>& heads, const Tensor& table,
                          const std::vector<std::vector<double>>& counts, double temperature) {
  const int64_t items = table.size(0), dim = table.size(1);
  const auto states = x.to_vector<double>(), rows = table.to_vector<double>();
  const auto softmax = [&](std::vector<double> values) {
    double sum = 0.0;
    for (double& value : values) sum += value = std::exp(value / temperature);
    for (double& value : values) value /= sum;
    return values;
  };
  double total = 0.0;
  for (size_t h = 0; h < heads.size(); ++h) {
    std::vector<double> scaled = counts[static_cast<size_t>(heads[h])];
    const double most = *std::max_element(scaled.begin(), scaled.end());
    for (double& value : scaled) value /= most + 1e-24;
    std::vector<double> scores(static_cast<size_t>(items), 0.0);
    for (int64_t j = 0; j < items; ++j)
      for (int64_t c = 0; c < dim; ++c)
        scores[static_cast<size_t>(j)] +=
            states[h * static_cast<size_t>(dim) + static_cast<size_t>(c)] *
            rows[static_cast<size_t>(j * dim + c)];
    const auto teacher = softmax(scaled), student = softmax(scores);
    for (size_t j = 0; j < teacher.size(); ++j) total -= teacher[j] * std::log(student[j]);
  }
  return total / static_cast<double>(heads.size());
}

TransitionCounts sparse(const std::vector<std::vector<double>>& counts) {
  TransitionCounts found{{0}, {}, {}};
  for (const std::vector<double>& row : counts) {
    for (size_t j = 0; j < row.size(); ++j) {
      if (row[j] == 0.0) continue;
      found.next.push_back(static_cast<int64_t>(j));
      found.count.push_back(row[j]);
    }
    found.begin.push_back(std::ssize(found.next));
  }
  return found;
}

const std::vector<std::vector<double>> kCounts = {
    {0, 2, 1, 0, 0}, {0, 0, 0, 0, 0}, {3, 1, 0, 2, 1}, {0, 0, 0, 0, 4}, {1, 1, 1, 1, 1}};

TEST(TransitionDistillation, EqualsTheDenseDefinition) {
  const std::vector<int64_t> heads = {0, 3, 0, 1, 2, 4};
  const Tensor x = random_tensor({6, 3}, "x", DType::f64);
  const Tensor table = random_tensor({5, 3}, "table", DType::f64);
  for (const double temperature : {0.1, 1.0, 30.0}) {
    EXPECT_NEAR(transition_distillation(x, heads, table, {sparse(kCounts), temperature}).item(),
                dense_distillation(x, heads, table, kCounts, temperature), 1e-10)
        << temperature;
  }
}

TEST(TransitionDistillation, GradientsAgreeWithDifferences) {
  const std::vector<int64_t> heads = {0, 3, 0, 1, 2};
  const TransitionTeacher teacher(sparse(kCounts), 0.7);
  EXPECT_EQ(gradcheck(
                [&](const std::vector<Tensor>& in) {
                  return std::vector<Tensor>{transition_distillation(in[0], heads, in[1], teacher)};
                },
                {random_tensor({5, 3}, "x", DType::f64), random_tensor({5, 3}, "t", DType::f64)}),
            "");
}

TEST(TransitionDistillation, AnEvenTableHasTheEntropyOfAnEvenStudent) {
  const std::vector<int64_t> heads = {0, 2};
  const Tensor x = random_tensor({2, 3}, "x", DType::f64),
               table = Tensor::zeros({5, 3}, DType::f64);
  EXPECT_NEAR(transition_distillation(x, heads, table, {sparse(kCounts), 0.1}).item(),
              std::log(5.0), 1e-12);
}

TEST(TransitionDistillation, LearnsTheWorkedTeacher) {
  // Counts (2, 1, 0, 0) at a temperature of 0.1: a student of these logits is at the minimum, which
  // is the teacher's entropy.
  const std::vector<int64_t> heads = {0};
  const std::vector<std::vector<double>> counts = {
      {2, 1, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}};
  const double shares[] = {22026.4658, 148.4132, 1.0, 1.0};
  double entropy = 0.0;
  for (const double share : shares) entropy -= share / 22176.879 * std::log(share / 22176.879);
  const Tensor x = Tensor::from(std::vector<double>{1.0}, {1, 1});
  const Tensor table = Tensor::from(std::vector<double>{1.0, 0.5, 0.0, 0.0}, {4, 1});
  EXPECT_NEAR(transition_distillation(x, heads, table, {sparse(counts), 0.1}).item(), entropy,
              1e-6);
}

TEST(Recommender, TransitionsAreThoseOfItsItems) {
  const auto model = model_of("{items: 5, context: 6, dim: 4}");
  const NoGrad none;
  const Tensor items = numbers({1, 4, 0, 3, 0, 0}, {2, 3});
  const Tensor own = mul(model->embed.weight, 2.0);  // the root of dim
  const std::vector<int64_t> heads = {0, 3, 2};
  std::vector<double> states;
  for (const int64_t head : heads)
    for (int64_t c = 0; c < 4; ++c)
      states.push_back(own.to_vector<double>()[static_cast<size_t>(head * 4 + c)]);
  EXPECT_NEAR(
      model->transition_loss(items, {sparse(kCounts), 0.5}).item(),
      dense_distillation(Tensor::from(states, {3, 4}), heads, model->embed.weight, kCounts, 0.5),
      1e-10);
  EXPECT_EQ(model->transition_loss(numbers({0, 0}, {1, 2}), {sparse(kCounts), 0.5}).item(), 0.0);
}

TEST(Recommender, FactoryRefusesWhatCannotBe) {
  const auto error = [](const std::string& config) -> std::string {
    try {
      make_recommender(yaml(config), 12);
    } catch (const RequestError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error("{type: gpt}"), ::testing::HasSubstr("not a recommender"));
  EXPECT_THAT(error("{type: multi_query_recommender, items: 5}"),
              ::testing::HasSubstr("5 items, but the data have 12"));
  EXPECT_EQ(error("{type: recurrent_recommender}"), "");
}

}  // namespace
}  // namespace heed::nn
