#include "nn/models/mobilenet.h"

#include <gtest/gtest.h>

#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::gradcheck_module;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

int64_t count_of(const char* config) {
  return find_module("mobilenet", "model").make(yaml(config))->parameter_count();
}

double million_products(const char* config) { return make_classifier(yaml(config))->flops() / 2e6; }

TEST(MobileNet, GradientsAgreeWithDifferences) {
  const Inputs images{{"x", random_tensor({3, 5, 4, 2}, "image", DType::f64)}};
  const std::string small =
      "{channels: 2, classes: 3, multiplier: 0.25, stem_width: 8, stem_stride: 1, widths: [8, 16], "
      "blocks: [1, 2], strides: [1, 2], ";
  EXPECT_EQ(gradcheck_module("mobilenet", "model", yaml(small + "version: v1}"), images), "");
  EXPECT_EQ(
      gradcheck_module("mobilenet", "model",
                       yaml(small + "version: v2, expansions: [1, 2], head_width: 8}"), images),
      "");
}

// arXiv 1704.04861, tables 6 and 7 (4.2, 2.6, 1.3 and 0.5 million), and the published v2
// checkpoints, counted to the last digit.
TEST(MobileNet, PublishedSizes) {
  EXPECT_EQ(count_of("{preset: mobilenet-v1}"), 4231976);
  EXPECT_EQ(count_of("{preset: mobilenet-v1-0.75}"), 2585560);
  EXPECT_EQ(count_of("{preset: mobilenet-v1-0.5}"), 1331592);
  EXPECT_EQ(count_of("{preset: mobilenet-v1-0.25}"), 470072);
  EXPECT_EQ(count_of("{preset: mobilenet-v2}"), 3504872);
}

// Multiply-adds: 569, 325 and 149 million (the same tables), 300 million (arXiv 1801.04381).
TEST(MobileNet, OperationsAreThePublishedOnes) {
  EXPECT_NEAR(million_products("{type: mobilenet, preset: mobilenet-v1}"), 568.74, 0.01);
  EXPECT_NEAR(million_products("{type: mobilenet, preset: mobilenet-v1-0.75}"), 325.40, 0.01);
  EXPECT_NEAR(million_products("{type: mobilenet, preset: mobilenet-v1-0.5}"), 149.50, 0.01);
  EXPECT_NEAR(million_products("{type: mobilenet, preset: mobilenet-v2}"), 300.77, 0.01);
}

TEST(MobileNet, SmallImagesKeepTheirPixels) {
  const NoGrad no_grad;
  for (const char* version : {"v1", "v2"}) {
    auto model = make_classifier(yaml(
        fmt::format("{{type: mobilenet, preset: mobilenet-{}-cifar, multiplier: 0.25}}", version)));
    model->initialise(1);
    model->eval();
    auto& net = static_cast<MobileNet&>(*model);
    const Tensor x = random_tensor({1, 32, 32, 3}, "x");
    EXPECT_EQ(net.features(x).size(1), 4) << version;
    EXPECT_EQ(model->forward(x).shape(), (Shape{1, 10}));
    EXPECT_EQ(make_classifier(model->config())->parameter_count(), model->parameter_count());
  }
}

TEST(MobileNet, SaysWhatCannotBe) {
  const auto make = [](const char* config) {
    return find_module("mobilenet", "model").make(yaml(config));
  };
  EXPECT_THROW(make("{}"), RequestError);
  EXPECT_THROW(make("{classes: 3, widths: [8, 16]}"), RequestError);
  EXPECT_THROW(make("{classes: 3, version: v3}"), RequestError);
}

}  // namespace
}  // namespace heed::nn
