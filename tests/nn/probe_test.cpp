#include "nn/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops/matmul.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

std::vector<std::string> names_of(const NamedTensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return names;
}

const Tensor& at(const NamedTensors& tensors, const std::string& name) {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) return tensor;
  }
  throw std::out_of_range(name);
}

const ModuleEntry& linear_entry() { return find_module("linear", "layer"); }

TEST(Probe, WithoutInputsGivesTheInitialParameters) {
  const Config config = yaml("{in: 3, out: 2}");
  const NamedTensors fresh = probe(linear_entry(), config, {}, {}, {.seed = 4});
  EXPECT_THAT(names_of(fresh), ElementsAre("weight", "bias"));
  const auto module = linear_entry().make(config);
  module->initialise(4);
  EXPECT_TRUE(testing::bitwise_equal(at(fresh, "weight"), state_dict(*module)[0].second));
}

TEST(Probe, RunsForwardAndBackwardWithTheGivenCotangent) {
  const NamedTensors weights = {{"weight", random_tensor({2, 3}, "w")},
                                {"bias", random_tensor({2}, "b")}};
  const Tensor x = random_tensor({4, 3}, "x"), cot = random_tensor({4, 2}, "cot");
  const NamedTensors out = probe(linear_entry(), yaml("{in: 3, out: 2}"), weights,
                                 {{"x", x}, {"cot", cot}}, {.grad = true});
  EXPECT_THAT(names_of(out), ElementsAre("out", "grad.x", "grad.weight", "grad.bias"));
  EXPECT_TRUE(
      testing::bitwise_equal(at(out, "out"), linear(x, weights[0].second, weights[1].second)));
  std::vector<double> bias_gradient(2, 0.0);  // the sum of the cotangent's rows
  const std::vector<double> c = cot.to_vector<double>();
  for (size_t i = 0; i < c.size(); ++i) bias_gradient[i % 2] += c[i];
  const std::vector<double> got = at(out, "grad.bias").to_vector<double>();
  for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(got[i], bias_gradient[i], 4 * 0x1p-23 * 8);
}

TEST(Probe, ComputesInTheDtypeAskedFor) {
  const NamedTensors inputs = {{"x", random_tensor({4, 3}, "x")}};
  const Config config = yaml("{in: 3, out: 2}");
  const NamedTensors f64 =
      probe(linear_entry(), config, {}, inputs, {.grad = true, .dtype = DType::f64});
  EXPECT_EQ(at(f64, "out").dtype(), DType::f64);
  EXPECT_EQ(at(f64, "grad.weight").dtype(), DType::f64);
  const NamedTensors bf16 =
      probe(linear_entry(), config, {}, inputs, {.grad = true, .dtype = DType::bf16});
  EXPECT_EQ(at(bf16, "out").dtype(), DType::bf16);
  EXPECT_EQ(at(bf16, "grad.weight").dtype(), DType::f32);
  EXPECT_THROW(probe(linear_entry(), config, {}, inputs, {.dtype = DType::i32}), RequestError);
}

TEST(Probe, TrainingModeAndSeedDecideDropout) {
  const ModuleEntry& dropout = find_module("dropout", "layer");
  const NamedTensors inputs = {{"x", Tensor::full({6, 6}, 1.0)}};
  const Config config = yaml("{p: 0.5}");
  const auto run = [&](bool train, uint64_t seed) {
    return at(probe(dropout, config, {}, inputs, {.train = train, .seed = seed}), "out");
  };
  EXPECT_TRUE(testing::bitwise_equal(run(false, 1), inputs[0].second));
  EXPECT_TRUE(testing::bitwise_equal(run(true, 1), run(true, 1)));
  EXPECT_FALSE(testing::bitwise_equal(run(true, 1), run(true, 2)));
}

TEST(Probe, XAloneNamesTheOnlyArgument) {
  const Tensor ids = testing::random_ids({2, 3}, 5, "ids");
  const ModuleEntry& embedding = find_module("embedding", "layer");
  EXPECT_EQ(at(probe(embedding, yaml("{vocab: 5, dim: 2}"), {}, {{"x", ids}}), "out").shape(),
            Shape({2, 3, 2}));
}

TEST(Probe, NumbersSeveralOutputs) {
  const Tensor ids = testing::random_ids({2, 3}, 7, "ids"),
               targets = testing::random_ids({2, 3}, 7, "t");
  const NamedTensors out =
      probe(find_module("gpt"), yaml("{vocab: 7, layers: 1, dim: 8, heads: 2, context: 3}"), {},
            {{"ids", ids}, {"targets", targets}});
  EXPECT_THAT(names_of(out), ElementsAre("out.0", "out.1"));
  EXPECT_EQ(at(out, "out.0").shape(), Shape({2, 3, 7}));
  EXPECT_EQ(at(out, "out.1").rank(), 0);
}

TEST(Probe, RefusesWrongInputs) {
  const Config config = yaml("{in: 3, out: 2}");
  const auto message = [&](const NamedTensors& inputs) -> std::string {
    try {
      probe(linear_entry(), config, {}, inputs, {.grad = true});
    } catch (const RequestError& error) {
      return error.what();
    }
    return "no RequestError";
  };
  const Tensor x = random_tensor({4, 3}, "x");
  EXPECT_THAT(message({{"y", x}}), HasSubstr("unknown input 'y'"));
  EXPECT_THAT(message({{"cot", x}}), HasSubstr("'x' is missing"));
  EXPECT_THAT(message({{"x", x}, {"cot", x}}),
              HasSubstr("'cot' has shape [4, 3], the output [4, 2]"));
  EXPECT_THAT(message({{"x", x}, {"cot.1", x}}), HasSubstr("'cot.1' belongs to no output"));
}

}  // namespace
}  // namespace heed::nn
