#include "nn/models/pyramid.h"

#include <gtest/gtest.h>

#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

Inputs images(const Shape& shape) { return {{"x", random_tensor(shape, "image", DType::f64)}}; }

int64_t count_of(const char* config) {
  return find_module("pyramid", "model").make(yaml(config))->parameter_count();
}

TEST(PyramidLayers, GradientsAgreeWithDifferences) {
  EXPECT_EQ(
      gradcheck_module("patch_merging", "layer", yaml("{dim: 3, out: 4}"), images({2, 3, 5, 3})),
      "");
  for (const char* residual : {"true", "false"}) {
    EXPECT_EQ(gradcheck_module("conv_mlp", "layer",
                               yaml(fmt::format("{{dim: 3, hidden: 5, residual: {}}}", residual)),
                               images({2, 3, 2, 3})),
              "");
  }
}

TEST(Pyramid, GradientsAgreeWithDifferences) {
  const std::string small =
      "{height: 9, width: 6, channels: 2, classes: 3, depths: [1, 1], dims: [2, 4], heads: [1, 2], "
      "mlp_ratios: [2, 1], ";
  EXPECT_EQ(gradcheck_module("pyramid", "model",
                             yaml(small + "patch: 3, position: learned, layer_scale: 0.3}"),
                             images({1, 9, 6, 2})),
            "");
  EXPECT_EQ(gradcheck_module("pyramid", "model",
                             yaml(small + "patch: 2, stem: convs, downsample: conv, norm: "
                                          "batch_norm, embed_norm: batch_norm, stage_norms: true, "
                                          "mlp_conv: hidden, checkpointing: true}"),
                             images({2, 5, 4, 2}), true),
            "");
  EXPECT_EQ(gradcheck_module("pyramid", "model",
                             yaml(small + "patch: 2, stem: overlapping, downsample: norm_conv, "
                                          "conv_position: both, pool_first: true, mlp_conv: "
                                          "residual, end_norm: rms_norm}"),
                             images({1, 5, 6, 2})),
            "");
}

// What the published checkpoints hold, less their tables of relative positions, which belong to
// the mechanisms: 169 offsets a head for Swin.
TEST(Pyramid, PublishedSizes) {
  EXPECT_EQ(count_of("{preset: swin-tiny-shape}"),
            28288354 - 169 * (2 * 3 + 2 * 6 + 6 * 12 + 2 * 24));
  EXPECT_EQ(count_of("{preset: swin-small-shape}"),
            49606258 - 169 * (2 * 3 + 2 * 6 + 18 * 12 + 2 * 24));
  EXPECT_EQ(count_of("{preset: swin-base-shape}"),
            87768224 - 169 * (2 * 4 + 2 * 8 + 18 * 16 + 2 * 32));
  EXPECT_EQ(count_of("{preset: davit-tiny-shape}"), 28360168);
  EXPECT_EQ(count_of("{preset: davit-small-shape}"), 49745896);
}

TEST(Pyramid, MapsHalveFromStageToStage) {
  const NoGrad no_grad;
  for (const char* stem : {"patch", "overlapping", "convs"}) {
    for (const char* downsample : {"merge", "conv", "norm_conv"}) {
      Config config = yaml("{type: pyramid, depths: [1, 1, 1], dims: [4, 8, 8], heads: [1, 1, 1]}");
      config.set("stem", stem);
      config.set("downsample", downsample);
      auto model = make_classifier(config, 5, ClassifierInput::images(20, 36, 3));
      model->initialise(1);
      const auto maps = static_cast<Pyramid&>(*model).features(random_tensor({2, 20, 36, 3}, "x"));
      ASSERT_EQ(maps.size(), 3u);
      EXPECT_EQ(maps[0].shape(), (Shape{2, 5, 9, 4})) << stem << downsample;
      EXPECT_EQ(maps[1].shape(), (Shape{2, 3, 5, 8})) << stem << downsample;
      EXPECT_EQ(maps[2].shape(), (Shape{2, 2, 3, 8})) << stem << downsample;
      EXPECT_EQ(make_classifier(model->config())->parameter_count(), model->parameter_count());
    }
  }
}

TEST(Pyramid, StagesTakeTheirMechanismsInTurn) {
  const NoGrad no_grad;
  const std::string start =
      "{height: 16, width: 16, classes: 3, depths: [2, 1], dims: [4, 4], heads: [1, 1], ";
  const auto run = [&](const std::string& rest) {
    const auto model = find_module("pyramid", "model").make(yaml(start + rest + "}"));
    model->initialise(1);
    testing::randomise(*model);
    return static_cast<Pyramid&>(*model).features(random_tensor({1, 16, 16, 3}, "x"));
  };
  const auto plain = run("attention: softmax");
  const auto second = run("attentions: [{stages: [2], attention: {type: softmax, scale: 3}}]");
  EXPECT_TRUE(bitwise_equal(plain[0], second[0]));
  EXPECT_FALSE(bitwise_equal(plain[1], second[1]));
  const auto turns = run(
      "attentions: [{attention: softmax}, {stages: [1], attention: {type: softmax, scale: 3}}]");
  EXPECT_FALSE(bitwise_equal(plain[0], turns[0]));
}

TEST(Pyramid, SaysWhatCannotBe) {
  const auto refuses = [](const char* config) {
    EXPECT_THROW(find_module("pyramid", "model").make(yaml(config)), RequestError) << config;
  };
  refuses("{}");
  refuses("{classes: 3, depths: [1, 1]}");
  refuses("{classes: 3, heads: [5, 6, 12, 24]}");
  refuses("{classes: 3, stem: convs, patch: 3}");
  refuses("{classes: 3, position: learned}");
  refuses("{classes: 3, mlp: swiglu, mlp_conv: hidden}");
  refuses("{classes: 3, attentions: [{attention: softmux}]}");
}

}  // namespace
}  // namespace heed::nn
