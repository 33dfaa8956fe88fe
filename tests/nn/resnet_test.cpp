// Channel norms as layers, and the residual networks made of them.
#include "nn/models/resnet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

Inputs images(const Shape& shape) { return {{"x", random_tensor(shape, "image", DType::f64)}}; }

int64_t count_of(const char* config) {
  return find_module("resnet", "model").make(yaml(config))->parameter_count();
}

TEST(ChannelNorms, GradientsAgreeWithDifferences) {
  for (const bool train : {true, false}) {
    EXPECT_EQ(gradcheck_module("batch_norm", "layer", yaml("{dim: 3, eps: 0.1}"),
                               images({2, 3, 2, 3}), train),
              "");
  }
  EXPECT_EQ(
      gradcheck_module("group_norm", "layer", yaml("{dim: 6, groups: 2}"), images({2, 2, 2, 6})),
      "");
  EXPECT_EQ(gradcheck_module("instance_norm", "layer", yaml("{dim: 3, affine: true, eps: 0.1}"),
                             images({2, 5, 3})),
            "");
}

TEST(BatchNorm, KeepsRunningStatistics) {
  BatchNorm norm({.dim = 2, .momentum = 0.25});
  norm.initialise(1);
  // Channels {1, 3} and {0, 8}: means 2 and 4, unbiased variances 2 and 32.
  const Tensor x = Tensor::from(std::vector<float>{1, 0, 3, 8}, {2, 1, 2});
  norm.forward(x);
  EXPECT_EQ(norm.running_mean.to_vector<float>(), (std::vector<float>{0.5f, 1.0f}));
  EXPECT_EQ(norm.running_var.to_vector<float>(), (std::vector<float>{1.25f, 8.75f}));
  norm.eval();
  const Tensor y = norm.forward(x);
  EXPECT_EQ(norm.running_mean.to_vector<float>(), (std::vector<float>{0.5f, 1.0f}));
  EXPECT_NEAR(y.to_vector<float>()[0], 0.5 / std::sqrt(1.25 + 1e-5), 1e-6);
  EXPECT_EQ(norm.parameter_count(), 4);
  EXPECT_EQ(state_dict(norm).size(), 4u);
}

TEST(BatchNorm, RecomputationDoesNotCountTwice) {
  BatchNorm once({.dim = 3}), again({.dim = 3});
  once.initialise(1);
  again.initialise(1);
  Tensor x = random_tensor({4, 5, 3}, "x");
  require_grad(x);
  backward(sum(once.forward(x)));
  backward(
      sum(checkpoint([&](const std::vector<Tensor>& in) { return again.forward(in[0]); }, {x})));
  EXPECT_TRUE(bitwise_equal(again.running_mean, once.running_mean));
  EXPECT_TRUE(bitwise_equal(again.running_var, once.running_var));
}

TEST(ResNet, GradientsAgreeWithDifferences) {
  // Training: through the batch's statistics.
  const std::string small = "{height: 5, width: 4, channels: 2, classes: 3, blocks: [1, 1], ";
  EXPECT_EQ(gradcheck_module("resnet", "model", yaml(small + "widths: [3, 4], shortcut: pad}"),
                             images({3, 5, 4, 2}), true),
            "");
  EXPECT_EQ(gradcheck_module("resnet", "model", yaml(small + "widths: [2, 3], bottleneck: true}"),
                             images({3, 5, 4, 2})),
            "");
}

// torchvision's resnet18/34/50 checkpoints; arXiv 1512.03385, table 6: 0.27M and 0.85M, to the last
// digit as counted from the definition.
TEST(ResNet, PublishedSizes) {
  EXPECT_EQ(count_of("{preset: resnet18}"), 11689512);
  EXPECT_EQ(count_of("{preset: resnet34}"), 21797672);
  EXPECT_EQ(count_of("{preset: resnet50}"), 25557032);
  EXPECT_EQ(count_of("{preset: resnet20}"), 269722);
  EXPECT_EQ(count_of("{preset: resnet56}"), 853018);
}

TEST(ResNet, OperationsAreThePublishedOnes) {
  // arXiv 1512.03385, table 1: 1.8 and 3.8 (here 4.1: the stride is in the 3x3 convolution)
  // billion multiply-adds.
  const auto giga = [](const char* config) { return make_classifier(yaml(config))->flops() / 2e9; };
  EXPECT_NEAR(giga("{type: resnet, preset: resnet18}"), 1.814, 0.001);
  EXPECT_NEAR(giga("{type: resnet, preset: resnet50}"), 4.089, 0.001);
}

TEST(ResNet, ZeroInitStartsAsItsShortcuts) {
  const auto make = [](bool zero) {
    Config config = yaml("{type: resnet, preset: resnet20, blocks: [2], widths: [4]}");
    config.set("zero_init", zero);
    auto model = make_classifier(config, 10, ClassifierInput::images(8, 8, 3));
    model->initialise(3);
    model->eval();
    return model;
  };
  const NoGrad no_grad;
  const Tensor x = random_tensor({2, 8, 8, 3}, "x");
  for (const bool zero : {true, false}) {
    const auto model = make(zero);
    auto& net = static_cast<ResNet&>(*model);
    const Tensor features = net.features(x);
    const Tensor stem = relu(net.stem_norm(net.stem(x)));
    EXPECT_EQ(bitwise_equal(features, stem), zero);
    EXPECT_EQ(model->forward(x).shape(), (Shape{2, 10}));
  }
}

TEST(ResNet, SaysWhatCannotBe) {
  const auto refuses = [](const char* config) {
    EXPECT_THROW(find_module("resnet", "model").make(yaml(config)), RequestError) << config;
  };
  refuses("{}");
  refuses("{classes: 3, blocks: [1, 1]}");
  refuses("{classes: 3, widths: [8, 8, 4], shortcut: pad}");
  refuses("{classes: 3, bottleneck: true, shortcut: pad}");
  EXPECT_EQ(make_classifier(yaml("{type: resnet}"), 3, ClassifierInput::images(9, 7, 1))
                ->input()
                .channels,
            1);
}

}  // namespace
}  // namespace heed::nn
