#include "nn/module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/init.h"
#include "nn/layers/dropout.h"
#include "nn/layers/linear.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Pair : Module {
  Pair() : first(3, 2), second(2, 3, false) {
    scale = Tensor::empty({2});
    steps = Tensor::zeros({1}, DType::i64);
    parameters({{"scale", scale, init::ones()}});
    buffers({{"steps", steps}});
    children({{"first", first}, {"second", second}});
  }
  Tensor scale, steps;
  Linear first, second;
};

std::vector<std::string> names_of(const std::vector<Module::NamedTensor>& tensors) {
  std::vector<std::string> names;
  for (const auto& t : tensors) names.push_back(t.name);
  return names;
}

TEST(Module, NamesFollowTheOrderOfRegistration) {
  Pair pair;
  EXPECT_THAT(names_of(pair.named_tensors()),
              ElementsAre("scale", "steps", "first.weight", "first.bias", "second.weight"));
  EXPECT_THAT(names_of(pair.named_parameters()),
              ElementsAre("scale", "first.weight", "first.bias", "second.weight"));
  EXPECT_EQ(pair.parameter_count(), 2 + 6 + 2 + 6);
}

TEST(Module, ListsNameTheirItemsByIndex) {
  struct Stack : Module {
    Stack() { children({{"layers", layers}}); }
    ModuleList<Linear> layers;
  } stack;
  stack.layers.emplace(2, 2, false);
  stack.layers.emplace(2, 2, false);
  EXPECT_THAT(names_of(stack.named_parameters()),
              ElementsAre("layers.0.weight", "layers.1.weight"));
}

TEST(Module, TiedTensorsAppearOnceUnderTheFirstName) {
  Pair pair;
  pair.second.weight = pair.first.weight;
  EXPECT_THAT(names_of(pair.named_parameters()),
              ElementsAre("scale", "first.weight", "first.bias"));
  EXPECT_EQ(pair.parameter_count(), 2 + 6 + 2);
}

TEST(Module, TiedTensorsStayTiedWhenConverted) {
  Pair pair;
  pair.second.weight = pair.first.weight;
  pair.initialise(1);
  pair.convert(DType::f64);
  EXPECT_EQ(pair.first.weight.dtype(), DType::f64);
  EXPECT_TRUE(pair.first.weight.is_same(pair.second.weight));
  EXPECT_TRUE(requires_grad(pair.first.weight));
  EXPECT_EQ(pair.steps.dtype(), DType::i64);
}

TEST(Module, InitialValuesDependOnSeedAndNameAlone) {
  Pair a, b, c;
  a.initialise(7);
  b.initialise(7);
  c.initialise(8);
  EXPECT_TRUE(testing::bitwise_equal(a.first.weight, b.first.weight));
  EXPECT_FALSE(testing::bitwise_equal(a.first.weight, c.first.weight));
  Linear same_shape(3, 2);
  Tensor expected = Tensor::empty({2, 3});
  init::linear_default(3)(expected, {7, hash_name("init/first.weight"), 0});
  EXPECT_TRUE(testing::bitwise_equal(a.first.weight, expected));
}

TEST(Module, PathsKeyTheRandomDraws) {
  Pair pair;
  pair.initialise(1);
  EXPECT_EQ(pair.path(), "");
  EXPECT_EQ(pair.second.path(), "second");
  EXPECT_EQ(pair.second.purpose(), hash_name("second"));
}

TEST(Module, TrainingModeReachesAll) {
  Pair pair;
  EXPECT_TRUE(pair.first.training());
  pair.eval();
  EXPECT_FALSE(pair.training() || pair.first.training());
  pair.train();
  EXPECT_TRUE(pair.training() && pair.first.training());
}

TEST(Module, ParametersWantGradientsAndBuffersDoNot) {
  Pair pair;
  EXPECT_TRUE(requires_grad(pair.first.weight));
  EXPECT_FALSE(requires_grad(pair.steps));
}

TEST(StateDict, RoundTripsBitForBit) {
  Pair a, b;
  a.initialise(1);
  b.initialise(2);
  EXPECT_TRUE(load_state_dict(b, state_dict(a)).empty());
  const auto left = state_dict(a), right = state_dict(b);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].first, right[i].first);
    EXPECT_TRUE(testing::bitwise_equal(left[i].second, right[i].second)) << left[i].first;
  }
}

TEST(StateDict, ListsEveryProblemAndChangesNothing) {
  Pair pair;
  pair.initialise(1);
  const std::vector<double> before = pair.scale.to_vector<double>();
  auto state = state_dict(pair);
  state[0].second = Tensor::full({2}, 3.0);          // scale: fits, must not be loaded all the same
  state[2].first = "first.wieght";                   // misspelt
  state[3].second = Tensor::zeros({3});              // first.bias: wrong shape
  state[1].second = Tensor::zeros({1}, DType::f32);  // steps: wrong kind
  state.pop_back();                                  // second.weight: missing
  try {
    load_state_dict(pair, state);
    FAIL() << "loaded";
  } catch (const RequestError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("'first.wieght' is unexpected (did you mean 'first.weight'?)"));
    EXPECT_THAT(error.what(), HasSubstr("'first.weight' is missing"));
    EXPECT_THAT(error.what(), HasSubstr("'second.weight' is missing"));
    EXPECT_THAT(error.what(), HasSubstr("'first.bias' has shape [3], the module wants [2]"));
    EXPECT_THAT(error.what(), HasSubstr("'steps' holds f32, the module wants i64"));
    EXPECT_THAT(error.what(), Not(HasSubstr("'scale'")));
  }
  EXPECT_EQ(pair.scale.to_vector<double>(), before);
}

TEST(StateDict, SaysWhichTensorsLostDigits) {
  Linear wide(2, 1, false), narrow(2, 1, false);
  wide.initialise(1);
  wide.convert(DType::f64);
  EXPECT_THAT(load_state_dict(narrow, state_dict(wide)), ElementsAre("weight: f64 rounded to f32"));
  EXPECT_TRUE(load_state_dict(wide, state_dict(narrow)).empty());
  EXPECT_EQ(wide.weight.dtype(), DType::f64);
}

// Mean and variance of 200,000 draws; five standard errors each way.
struct Moments {
  double mean = 0.0, variance = 0.0, least = INFINITY, most = -INFINITY;
};
constexpr int64_t kDraws = 200000;

Moments moments_of(const Init& fill) {
  Tensor t = Tensor::empty({2, kDraws / 2});
  fill(t, {3, 4, 0});
  Moments m;
  const std::vector<double> values = t.to_vector<double>();
  for (const double v : values) {
    m.mean += v / kDraws;
    m.least = std::min(m.least, v);
    m.most = std::max(m.most, v);
  }
  for (const double v : values) m.variance += (v - m.mean) * (v - m.mean) / kDraws;
  return m;
}

TEST(Init, NormalHasItsMoments) {
  const Moments m = moments_of(init::normal(0.5, 2.0));
  EXPECT_NEAR(m.mean, 2.0, 5 * 0.5 / std::sqrt(kDraws));
  EXPECT_NEAR(m.variance, 0.25, 5 * 0.25 * std::sqrt(2.0 / kDraws));
}

TEST(Init, UniformFillsItsInterval) {
  const Moments m = moments_of(init::uniform(-1.0, 3.0));
  EXPECT_NEAR(m.mean, 1.0, 5 * 4 / std::sqrt(12.0 * kDraws));
  EXPECT_NEAR(m.variance, 16.0 / 12, 5 * 16.0 / 12 * std::sqrt(0.8 / kDraws));  // kurtosis 1.8
  EXPECT_GE(m.least, -1.0);
  EXPECT_LE(m.most, 3.0);
}

TEST(Init, TruncatedNormalIsCut) {
  const Moments m = moments_of(init::truncated_normal(0.1, 0.0, 2.0));
  const double density = std::exp(-2.0) / std::sqrt(2 * M_PI), inside = std::erf(std::sqrt(2.0));
  const double variance = 0.01 * (1.0 - 2 * 2.0 * density / inside);  // of the cut distribution
  EXPECT_NEAR(m.mean, 0.0, 5 * 0.1 / std::sqrt(kDraws));
  EXPECT_NEAR(m.variance, variance, 5 * variance * std::sqrt(2.0 / kDraws));
  EXPECT_GE(m.least, -0.2 * (1 + 1e-6));
  EXPECT_LE(m.most, 0.2 * (1 + 1e-6));
}

TEST(Init, FansSetTheScale) {
  // [2, kDraws / 2]: fan_in is kDraws / 2, fan_out 2.
  const double in = kDraws / 2.0, out = 2.0;
  const auto near = [](const Init& fill, double variance) {
    const Moments m = moments_of(fill);
    EXPECT_NEAR(m.variance / variance, 1.0, 5 * std::sqrt(2.0 / kDraws));
  };
  near(init::xavier_normal(), 2.0 / (in + out));
  near(init::xavier_uniform(2.0), 4.0 * 2.0 / (in + out));
  near(init::kaiming_normal(), 2.0 / in);
  near(init::kaiming_uniform(), 2.0 / in);
  near(init::linear_default(100), 1.0 / 300);
}

// Rows (or columns, where there are fewer) of length `gain`, square to one another.
TEST(Init, OrthogonalIsOrthonormal) {
  for (const Shape& shape :
       {Shape{1, 1}, Shape{7, 7}, Shape{3, 17}, Shape{17, 3}, Shape{5, 3, 3, 2}, Shape{64, 50}}) {
    Tensor weight = Tensor::empty(shape, DType::f64);
    init::orthogonal(1.5)(weight, {3, 4, 0});
    const std::vector<double> w = weight.to_vector<double>();
    const int64_t rows = shape[0], columns = weight.numel() / rows;
    const bool wide = rows <= columns;
    const int64_t count = std::min(rows, columns), size = std::max(rows, columns);
    const auto at = [&](int64_t i, int64_t k) {
      return w[static_cast<size_t>(wide ? i * columns + k : k * columns + i)];
    };
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        double product = 0.0;
        for (int64_t k = 0; k < size; ++k) product += at(i, k) * at(j, k);
        // Elements are rounded to f32, as all initial values are.
        EXPECT_NEAR(product, i == j ? 2.25 : 0.0, 2 * 2.25 * 0x1p-24) << shape.to_string();
      }
    }
  }
}

TEST(Init, OrthogonalIsOfEitherSign) {
  int positive = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Tensor weight = Tensor::empty({5, 3});
    init::orthogonal()(weight, {seed, 4, 0});
    positive += weight.to_vector<float>()[0] > 0;
  }
  EXPECT_NEAR(positive, 50, 25);  // five standard errors
}

TEST(Init, OrthogonalNeedsAMatrix) {
  Tensor vector = Tensor::empty({4});
  EXPECT_THROW(init::orthogonal()(vector, {}), Error);
}

TEST(Init, FansNeedAMatrix) {
  Tensor vector = Tensor::empty({4});
  EXPECT_THROW(init::kaiming_normal()(vector, {}), Error);
}

}  // namespace
}  // namespace heed::nn
