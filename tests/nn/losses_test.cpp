// Losses as modules: gradients, reductions and refusals. The ops have tests of their own
// (tests/autograd), their values are compared with PyTorch's (tests/interop).
#include <gtest/gtest.h>

#include "autograd/ops/elementwise.h"
#include "nn/losses/cross_entropy.h"
#include "nn/losses/pointwise.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::gradcheck_module;
using testing::random_ids;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

Tensor f64(const Shape& shape, const std::string& name) {
  return random_tensor(shape, name, DType::f64);
}

Tensor chances(const Shape& shape, const std::string& name) {
  return sigmoid(f64(shape, name)).detach();
}

/// What each input of a loss may be, by its name, for rows [n] of d features; of an episode, two
/// classes of them and an example to learn from.
Inputs inputs_of(const ModuleEntry& entry, int64_t n, int64_t d) {
  Inputs inputs;
  for (const std::string& name : entry.inputs) {
    if (name.ends_with('?')) continue;
    Tensor& value = inputs[name];
    value = f64({n, d}, name);
    if (name == "targets" && entry.name != "soft_cross_entropy") value = random_ids({n}, d, name);
    if (name == "class_weights") value = chances({d}, name);
    if (name == "labels") value = random_ids({n}, 2, name);
    if (name == "sign") value = Tensor::from(std::vector<int64_t>(static_cast<size_t>(n), -1), {n});
    if (entry.name == "bce" || name == "p") value = chances({n, d}, name);
    if (entry.name == "prototype") value = f64({1, 2, n + 1, d}, name);
  }
  return inputs;
}

/// The inputs that are constants to a loss: its gradient for them is zero by definition.
bool is_constant(const std::string& loss, const std::string& input) {
  return input == "class_weights" || input == "teacher" ||
         (loss == "soft_cross_entropy" && input == "targets");
}

class EachLoss : public ::testing::TestWithParam<std::string> {};

TEST_P(EachLoss, HasTheGradientOfItsDifferences) {
  const ModuleEntry& entry = find_module(GetParam(), "loss");
  const std::unique_ptr<Module> module = entry.make(Config::map());
  for (const Shape& rows : {Shape{1, 7}, Shape{5, 3}, Shape{3, 1}}) {
    const Inputs inputs = inputs_of(entry, rows[0], rows[1]);
    std::vector<std::string> moving;
    std::vector<Tensor> values;
    for (const auto& [name, value] : inputs) {
      if (!is_floating(value.dtype()) || is_constant(entry.name, name)) continue;
      moving.push_back(name);
      values.push_back(value);
    }
    const std::function<Tensor(const std::vector<Tensor>&)> loss =
        [&](const std::vector<Tensor>& xs) {
          Inputs now = inputs;
          for (size_t i = 0; i < xs.size(); ++i) now[moving[i]] = xs[i];
          return entry.forward(*module, now)[0];
        };
    EXPECT_EQ(gradcheck(loss, values), "") << rows.to_string();
  }
}

TEST_P(EachLoss, ReducesAsItsOptionSays) {
  const ModuleEntry& entry = find_module(GetParam(), "loss");
  const Inputs inputs = inputs_of(entry, 5, 3);
  if (!entry.schema().at("properties").has("reduction")) {  // always a mean
    EXPECT_EQ(entry.forward(*entry.make(Config::map()), inputs)[0].rank(), 0);
    return;
  }
  const auto values = [&](const char* reduction) {
    const auto module = entry.make(yaml(fmt::format("{{reduction: {}}}", reduction)));
    return entry.forward(*module, inputs)[0];
  };
  const std::vector<double> each = values("none").to_vector<double>();
  ASSERT_GE(each.size(), 5u);
  double total = 0.0;
  for (const double loss : each) total += loss;
  EXPECT_NEAR(values("sum").to_vector<double>()[0], total, 1e-13 * (1 + std::abs(total)));
  if (entry.name == "weighted_cross_entropy") return;  // whose mean divides by weights
  const double mean = total / static_cast<double>(each.size());
  EXPECT_NEAR(values("mean").to_vector<double>()[0], mean, 1e-13 * (1 + std::abs(mean)));
  EXPECT_THROW(entry.make(yaml("{reduction: average}")), RequestError);
}

std::vector<std::string> all_losses() {
  std::vector<std::string> names;
  for (const ModuleEntry& entry : module_registry()) {
    if (entry.kind == "loss") names.push_back(entry.name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Losses, EachLoss, ::testing::ValuesIn(all_losses()),
                         [](const auto& c) { return c.param; });

TEST(Losses, ConstantsTakeNoGradient) {
  Tensor weights = chances({4}, "weights"), logits = f64({3, 4}, "logits");
  require_grad(weights);
  require_grad(logits);
  WeightedCrossEntropy loss(WeightedCrossEntropySettings{});
  backward(loss.forward(logits, random_ids({3}, 4, "targets"), weights));
  EXPECT_TRUE(grad(logits).defined());
  EXPECT_FALSE(grad(weights).defined());
}

TEST(Losses, PositiveTargetsWeighMore) {
  BceWithLogits loss(BceWithLogitsSettings{});
  const Tensor x = Tensor::zeros({2}), ones = Tensor::full({2}, 1.0);
  const Tensor weight, three = Tensor::full({1}, 3.0);
  const double plain = loss.forward(x, ones).to_vector<double>()[0];
  EXPECT_FLOAT_EQ(loss.forward(x, ones, weight, three).to_vector<double>()[0], 3 * plain);
  EXPECT_FLOAT_EQ(loss.forward(x, x, weight, three).to_vector<double>()[0], plain);
}

TEST(Losses, BatchmeanIsTheMeanDivergenceOfARow) {
  const Tensor x = f64({5, 3}, "x"), target = chances({5, 3}, "target");
  KlDiv mean(KlDivSettings{}), rows(KlDivSettings{.reduction = "batchmean"});
  EXPECT_NEAR(rows.forward(x, target).to_vector<double>()[0],
              3 * mean.forward(x, target).to_vector<double>()[0], 1e-14);
}

}  // namespace
}  // namespace heed::nn
