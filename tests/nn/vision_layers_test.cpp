// Convolutional and residual layers, low-rank adaptation, relative positions.
#include <gtest/gtest.h>

#include <set>

#include "nn/layers/conv.h"
#include "nn/layers/drop_path.h"
#include "nn/layers/lora.h"
#include "nn/layers/patch_embed.h"
#include "nn/layers/pool.h"
#include "nn/layers/relative_position.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using testing::random_tensor;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

Inputs images(const Shape& shape, const char* name = "x") {
  return {{name, random_tensor(shape, "image", DType::f64)}};
}

TEST(Pool, IsGlobalByDefaultWhereAdaptive) {
  AdaptiveAvgPool pool(AdaptiveAvgPoolOptions{});
  const Tensor y = pool.forward(Tensor::from(std::vector<float>{1, 10, 2, 20, 6, 60}, {1, 3, 2}));
  EXPECT_EQ(y.shape(), Shape({1, 1, 2}));
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{3, 30}));
}

TEST(Pool, StrideIsTheKernelUnlessGiven) {
  const Tensor x = Tensor::from(std::vector<float>{3, 1, 4, 1, 5}, {1, 5, 1});
  EXPECT_EQ(MaxPool(MaxPoolOptions{}).forward(x).to_vector<float>(), (std::vector<float>{3, 4}));
  EXPECT_EQ(MaxPool(MaxPoolOptions{.stride = {1}}).forward(x).to_vector<float>(),
            (std::vector<float>{3, 4, 4, 5}));
  EXPECT_EQ(AvgPool(AvgPoolOptions{.stride = {3}}).forward(x).to_vector<float>(),
            (std::vector<float>{2, 3}));
}

TEST(VisionLayers, GradientsAgreeWithDifferences) {
  EXPECT_EQ(gradcheck_module("conv", "layer", yaml("{in: 4, out: 6, padding: [1], groups: 2}"),
                             images({2, 4, 3, 4})),
            "");
  EXPECT_EQ(gradcheck_module("conv", "layer",
                             yaml("{in: 3, out: 3, groups: 3, spatial: 1, kernel: [2], stride: [2],"
                                  " bias: false}"),
                             images({2, 7, 3})),
            "");
  EXPECT_EQ(gradcheck_module("conv_transpose", "layer",
                             yaml("{in: 2, out: 3, kernel: [2, 3], stride: [2], output_padding: "
                                  "[1]}"),
                             images({1, 2, 3, 2})),
            "");
  for (const Shape& shape : {Shape{2, 7, 5, 3}, Shape{1, 3, 2, 1}}) {
    EXPECT_EQ(gradcheck_module("max_pool", "layer", yaml("{kernel: [3, 2], padding: [1, 0]}"),
                               images(shape)),
              "");
    EXPECT_EQ(
        gradcheck_module("avg_pool", "layer", yaml("{stride: [1], ceil: true}"), images(shape)),
        "");
    EXPECT_EQ(gradcheck_module("adaptive_avg_pool", "layer", yaml("{out: [2, 1]}"), images(shape)),
              "");
  }
  EXPECT_EQ(gradcheck_module("patch_embed", "layer", yaml("{channels: 2, dim: 5, patch: 3}"),
                             images({2, 6, 3, 2})),
            "");
  EXPECT_EQ(gradcheck_module("squeeze_excite", "layer", yaml("{dim: 5, hidden: 3}"),
                             images({2, 3, 2, 5})),
            "");
  EXPECT_EQ(gradcheck_module("layer_scale", "layer", yaml("{dim: 5}"), images({2, 3, 5})), "");
  EXPECT_EQ(gradcheck_module("drop_path", "layer", yaml("{p: 0.5}"), images({6, 3}), true), "");
  EXPECT_EQ(gradcheck_module("lora", "layer", yaml("{in: 5, out: 4, rank: 2, dropout: 0.3}"),
                             images({3, 5}), true),
            "");
  EXPECT_EQ(gradcheck_module("window_position", "layer", yaml("{heads: 2, height: 2, width: 3}"),
                             images({1, 2, 6, 6}, "scores")),
            "");
  EXPECT_EQ(
      gradcheck_module("t5_position", "layer", yaml("{heads: 2, buckets: 8, max_distance: 6}"),
                       images({1, 2, 3, 9}, "scores")),
      "");
}

TEST(ConvLayer, SaysWhichNumbersDoNotFit) {
  EXPECT_THROW(read_options<ConvLayerOptions>(yaml("{in: 4, out: 6, groups: 4}"), "c"),
               RequestError);
  EXPECT_THROW(read_options<ConvLayerOptions>(yaml("{in: 4, out: 6, kernel: [3, 3, 3]}"), "c"),
               RequestError);
  Conv conv(same_conv(3, 5, 3, 2));
  conv.initialise(1);
  EXPECT_EQ(conv(random_tensor({1, 7, 9, 3}, "x")).shape(), (Shape{1, 4, 5, 5}));
  EXPECT_EQ(conv.output_size(7), 4);
  EXPECT_THROW(conv(random_tensor({1, 7, 9, 4}, "x")), Error);
}

TEST(PatchEmbed, EqualsItsConvolution) {
  PatchEmbed embed({.channels = 3, .dim = 8, .patch = 4});
  embed.initialise(3);
  const Tensor x = random_tensor({2, 8, 12, 3}, "x");
  // 48 products a sum, in two orders.
  EXPECT_LT(relative_distance(embed(x), embed.conv(x)), 48 * 0x1p-23);
  EXPECT_THROW(embed(random_tensor({2, 9, 12, 3}, "x")), Error);
}

TEST(DropPath, DropsWholeSamplesAtItsRate) {
  DropPath drop(0.25);
  drop.initialise(1);
  const Tensor y = drop(Tensor::full({4000, 3}, 1.0));
  const std::vector<float> values = y.to_vector<float>();
  int64_t kept = 0;
  for (size_t i = 0; i < values.size(); i += 3) {
    EXPECT_TRUE(values[i] == 0.0f || values[i] == 1.0f / 0.75f);
    EXPECT_TRUE(values[i] == values[i + 1] && values[i] == values[i + 2]);
    kept += values[i] != 0.0f;
  }
  EXPECT_NEAR(static_cast<double>(kept), 3000, 5 * std::sqrt(4000 * 0.25 * 0.75));
  drop.eval();
  EXPECT_TRUE(bitwise_equal(drop(y), y));
  EXPECT_EQ(drop_path_of_layer(0.2, 0, 5), 0.0);
  EXPECT_DOUBLE_EQ(drop_path_of_layer(0.2, 4, 5), 0.2);
}

TEST(Lora, FreezesTheBaseButLetsGradientsThrough) {
  Lora lora({.in = 6, .out = 5, .rank = 2, .alpha = 4.0});
  lora.initialise(2);
  Tensor x = random_tensor({3, 6}, "x");
  require_grad(x);
  EXPECT_TRUE(bitwise_equal(lora(x), lora.base(x)));  // up starts at 0
  backward(lora(x), Tensor::full({3, 5}, 1.0));
  EXPECT_TRUE(grad(x).defined());
  EXPECT_FALSE(grad(lora.base.weight).defined());
  EXPECT_FALSE(grad(lora.base.bias).defined());
  EXPECT_TRUE(grad(lora.update.up.weight).defined());

  std::set<std::string> trained;
  for (const auto& p : lora.named_parameters()) trained.insert(p.name);
  EXPECT_EQ(trained, (std::set<std::string>{"down.weight", "up.weight"}));
  EXPECT_EQ(lora.parameter_count(), 6 * 5 + 5 + 2 * (6 + 5));
  EXPECT_EQ(state_dict(lora).size(), 4u);
  lora.convert(DType::f64);
  EXPECT_FALSE(requires_grad(lora.base.weight));
  lora.base.freeze(false);
  EXPECT_EQ(lora.named_parameters().size(), 4u);
}

TEST(Lora, MergesAndTakesBackExactly) {
  Lora lora({.in = 40, .out = 30, .rank = 4});
  lora.initialise(2);
  testing::randomise(lora.update.up);
  const Tensor x = random_tensor({7, 40}, "x");
  const Tensor before = Tensor::from(lora.base.weight.to_vector<float>(), {30, 40});
  const Tensor apart = lora(x);
  lora.merge();
  EXPECT_LT(relative_distance(lora(x), apart), 64 * 0x1p-23);  // sums of 40 + 4 products
  EXPECT_FALSE(bitwise_equal(lora.base.weight, before));
  EXPECT_THROW(lora.merge(), Error);
  lora.unmerge();
  EXPECT_TRUE(bitwise_equal(lora.base.weight, before));
  EXPECT_TRUE(bitwise_equal(lora(x), apart));
  EXPECT_THROW(lora.unmerge(), Error);
}

TEST(RelativePosition, WindowsAreIndexedByOffset) {
  const std::vector<int64_t> index = window_offsets(2, 3).to_vector<int64_t>();
  EXPECT_EQ(index[0], 1 * 5 + 2);          // no offset: the middle of 3 x 5
  EXPECT_EQ(index[0 * 6 + 5], 0 * 5 + 0);  // the last key from the first query
  EXPECT_EQ(index[5 * 6 + 0], 2 * 5 + 4);  // and back
  EXPECT_EQ(index[1 * 6 + 2], index[0 * 6 + 1]);
}

TEST(RelativePosition, BucketsAreT5s) {
  // From the definition: 32 buckets, 16 a side, 8 exact, then 8 + 8 log(d / 8) / log(16).
  EXPECT_EQ(t5_bucket(0, 32, 128, true), 0);
  EXPECT_EQ(t5_bucket(-7, 32, 128, true), 7);
  EXPECT_EQ(t5_bucket(7, 32, 128, true), 16 + 7);
  EXPECT_EQ(t5_bucket(-8, 32, 128, true), 8);
  EXPECT_EQ(t5_bucket(-20, 32, 128, true), 8 + 2);
  EXPECT_EQ(t5_bucket(-127, 32, 128, true), 15);
  EXPECT_EQ(t5_bucket(5000, 32, 128, true), 31);
  EXPECT_EQ(t5_bucket(3, 32, 128, false), 0);
  EXPECT_EQ(t5_bucket(-15, 32, 128, false), 15);
  EXPECT_EQ(t5_bucket(-128, 32, 128, false), 31);
}

}  // namespace
}  // namespace heed::nn
