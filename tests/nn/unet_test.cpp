// The U-Net, as segmenter and as denoiser.
#include "nn/models/unet.h"

#include <gtest/gtest.h>

#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using testing::random_tensor;
using testing::randomise;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

std::unique_ptr<ImageModel> make(const std::string& text, const ImageGeometry& data = {}) {
  auto model = make_image_model(yaml(text), data);
  model->initialise(7);
  model->eval();
  return model;
}

TEST(Unet, GradientsAgreeWithDifferences) {
  const Inputs images = {{"x", random_tensor({2, 5, 3, 2}, "x", DType::f64)}};
  EXPECT_EQ(gradcheck_module(
                "unet", "model",
                yaml("{channels: 2, outputs: 3, dim: 4, multipliers: [1, 2], groups: 2}"), images),
            "");
  Inputs noisy = images;
  noisy["times"] = random_tensor({2}, "times", DType::f64);
  noisy["labels"] = Tensor::from(std::vector<int64_t>{0, 2}, {2});
  EXPECT_EQ(gradcheck_module("unet", "model",
                             yaml("{channels: 2, outputs: 2, classes: 2, dim: 4, multipliers: [1, "
                                  "1], groups: 2, time: true, attention_levels: 1, heads: 2}"),
                             noisy),
            "");
}

// Counted by hand for dim 8, multipliers [1, 2], one block a level; conv3(a, b) = 9 a b + b.
TEST(Unet, ParametersAreThoseOfItsDefinition) {
  const auto conv3 = [](int64_t a, int64_t b) { return 9 * a * b + b; };
  const auto block = [&](int64_t a, int64_t b) {
    return 2 * a + conv3(a, b) + 2 * b + conv3(b, b) + (a == b ? 0 : a * b + b);
  };
  const int64_t expected = conv3(3, 8) + block(8, 8) + conv3(8, 16) + block(16, 16) +
                           2 * block(16, 16) + block(32, 16) + conv3(16, 8) + block(16, 8) + 2 * 8 +
                           conv3(8, 5);
  const std::string small = "{type: unet, channels: 3, outputs: 5, dim: 8, multipliers: [1, 2]";
  EXPECT_EQ(make(small + "}")->parameter_count(), expected);
  // The lowest level's two attentions and the middle's: norm, q k v and the projection back.
  const int64_t attention = 2 * 16 + 16 * 48 + 48 + 16 * 16 + 16;
  EXPECT_EQ(make(small + ", attention_levels: 1}")->parameter_count(), expected + 3 * attention);
  // Time: 16 frequencies to 32 features, and into each of the six blocks.
  const int64_t time = 16 * 32 + 32 + 32 * 32 + 32, into = 33 * (8 + 16 + 16 + 16 + 16 + 8);
  EXPECT_EQ(make(small + ", time: true}")->parameter_count(), expected + time + into);
}

TEST(Unet, OperationsAreCountedBySize) {
  // A convolution counts at its result's size: 6 x 4, then 3 x 2.
  const auto model = make(
      "{type: unet, height: 6, width: 4, channels: 1, outputs: 1, dim: 2, "
      "multipliers: [1, 1], groups: 1}");
  const auto conv = [](int64_t a, int64_t b, int64_t k, int64_t pixels) {
    return 2.0 * static_cast<double>(a * b * k * pixels);
  };
  const double block = 2 * conv(2, 2, 9, 1),
               wide = conv(4, 2, 9, 1) + conv(2, 2, 9, 1) + conv(4, 2, 1, 1);
  const double expected = conv(1, 2, 9, 24) + 24 * block + conv(2, 2, 9, 6) + 6 * block +
                          2 * 6 * block + 6 * wide + conv(2, 2, 9, 24) + 24 * wide +
                          conv(2, 1, 9, 24);
  EXPECT_DOUBLE_EQ(model->flops(), expected);
}

TEST(Unet, TakesImagesOfOddSizes) {
  const auto model = make("{type: unet, channels: 1, outputs: 2, dim: 8, multipliers: [1, 1, 1]}");
  const NoGrad no_grad;
  for (const Shape& size : {Shape{1, 1}, Shape{7, 5}, Shape{13, 4}}) {
    const Tensor x = random_tensor({2, size[0], size[1], 1}, "x");
    EXPECT_EQ(model->forward(x).shape(), (Shape{2, size[0], size[1], 2}));
  }
}

TEST(Unet, ADenoiserStartsAtZeroAndHearsItsTime) {
  const auto model = make("{type: unet, time: true, dim: 8}",
                          {.height = 4, .width = 4, .channels = 1, .outputs = 1, .classes = 3});
  const NoGrad no_grad;
  const Tensor x = random_tensor({2, 4, 4, 1}, "x");
  const Tensor early = Tensor::full({2}, 1.0, DType::f32);
  const Tensor late = Tensor::full({2}, 900.0, DType::f32);
  for (const float y : model->forward(x, early, {}).to_vector<float>()) EXPECT_EQ(y, 0.0f);
  randomise(*model);
  const Tensor y = model->forward(x, early, {});
  EXPECT_TRUE(bitwise_equal(y, model->forward(x, early, {})));
  EXPECT_FALSE(bitwise_equal(y, model->forward(x, late, {})));
  EXPECT_FALSE(
      bitwise_equal(y, model->forward(x, early, Tensor::from(std::vector<int64_t>{0, 1}, {2}))));
}

TEST(Unet, SaysWhatCannotBe) {
  const auto refuses = [](const char* config, const ImageGeometry& data = {}) {
    EXPECT_THROW(make_image_model(yaml(config), data), RequestError) << config;
  };
  refuses("{type: unet}");
  refuses("{type: unet, channels: 1, outputs: 1, dim: 12, groups: 8}");
  refuses("{type: unet, channels: 1, outputs: 1, multipliers: []}");
  refuses("{type: unet, channels: 1, outputs: 1}", {.frames = 4});
  refuses("{type: unet, channels: 1, outputs: 1}", {.channels = 3});
  const auto plain = make("{type: unet, channels: 1, outputs: 1, dim: 8}");
  const Tensor x = Tensor::zeros({1, 4, 4, 1}, DType::f32);
  EXPECT_THROW(plain->forward(x, Tensor::zeros({1}, DType::f32), {}), Error);
  EXPECT_THROW(plain->forward(Tensor::zeros({1, 4, 4, 2}, DType::f32)), Error);
}

}  // namespace
}  // namespace heed::nn
