#include "nn/models/linear_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/raises.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::gradcheck_module;
using ::testing::HasSubstr;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

TEST(LinearProbe, GradientsAgreeWithDifferences) {
  for (const int64_t features : {1, 5}) {
    const std::string width = fmt::format("{{classes: 3, features: {}, ", features);
    const Inputs vectors{{"features", random_tensor({4, features}, "v", DType::f64)}};
    const Inputs tokens{{"features", random_tensor({4, 7, features}, "t", DType::f64)}};
    EXPECT_EQ(gradcheck_module("linear_probe", "model", yaml(width + "norm: none}"), vectors), "");
    EXPECT_EQ(gradcheck_module("linear_probe", "model", yaml(width + "tokens: 7}"), tokens, true),
              "");
    EXPECT_EQ(gradcheck_module("linear_probe", "model",
                               yaml(width + "tokens: 7, norm: none, pool: additive}"), tokens),
              "");
  }
}

// In training the norm takes the batch's own statistics, so features of any scale and place give
// the same logits.
TEST(LinearProbe, DoesNotDependOnTheScaleOfTheFeatures) {
  const auto model =
      make_classifier(yaml("{type: linear_probe}"), 4, ClassifierInput::features(6, 0));
  model->convert(DType::f64);
  model->initialise(1);
  const Tensor x = random_tensor({9, 6}, "x", DType::f64);
  Tensor moved = Tensor::zeros({9, 6}, DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) {
    moved.data<double>()[i] = 1e4 * x.data<double>()[i] + static_cast<double>(i % 6);
  }
  const NoGrad no_grad;
  const auto a = model->forward(x).to_vector<double>(),
             b = model->forward(moved).to_vector<double>();
  double largest = 0.0;
  // eps of 1e-6 beside variances of about 1
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], b[i], 1e-5);
    largest = std::max(largest, std::abs(a[i]));
  }
  EXPECT_GT(largest, 1e-3);
}

TEST(LinearProbe, TakesItsSizesFromTheData) {
  const auto vectors =
      make_classifier(yaml("{type: linear_probe}"), 10, ClassifierInput::features(384, 0));
  EXPECT_EQ(vectors->parameter_count(), 10 * 385);
  EXPECT_EQ(vectors->input().dim, 384);
  const auto tokens = make_classifier(yaml("{type: linear_probe, pool: {type: lama, heads: 4}}"),
                                      10, ClassifierInput::features(384, 197));
  EXPECT_EQ(tokens->input().vectors, 197);
  EXPECT_EQ(make_classifier(tokens->config())->parameter_count(), tokens->parameter_count());
  EXPECT_THAT(request_error([] {
                make_classifier(yaml("{type: linear_probe, features: 5}"), 10,
                                ClassifierInput::features(384, 0));
              }),
              HasSubstr("features is 5, but the data has 384"));
  EXPECT_THAT(request_error([] {
                make_classifier(yaml("{type: linear_probe}"), 10, ClassifierInput::images(4, 4, 3));
              }),
              HasSubstr("model 'linear_probe' does not classify images"));
  EXPECT_THAT(request_error([] {
                make_classifier(yaml("{type: resnet}"), 10, ClassifierInput::features(384, 0));
              }),
              HasSubstr("model 'resnet' does not classify features"));
}

}  // namespace
}  // namespace heed::nn
