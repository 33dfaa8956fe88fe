// The NAT and DiNAT families: sizes and operations as published, maps, dense prediction.
#include "nn/models/nat.h"

#include <gtest/gtest.h>

#include "autograd/ops/interpolate.h"
#include "nn/models/dense_pyramid.h"
#include "nn/models/pyramid.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::gradcheck_module;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

struct Published {
  const char* name;
  int64_t parameters;
  double gflops;  // multiply-adds, as the papers count; rounded to 0.1
};

// Parameters: of the official models (GitHub SHI-Labs/Neighborhood-Attention-Transformer). The
// papers round them to 20, 28, 51, 90 and 200 million.
const Published kPublished[] = {
    {"nat-mini", 19984174, 2.7},
    {"nat-tiny", 27901582, 4.3},
    {"nat-small", 50743297, 7.8},
    {"nat-base", 89769652, 13.7},
    {"dinat-mini", 19984174, 2.7},
    {"dinat-tiny", 27901582, 4.3},
    {"dinat-small", 50719681, 7.8},
    {"dinat-base", 89769652, 13.7},
    {"dinat-large", 200943514, 30.6},
    {"dinat-large-384", 200943514, 89.7},
    {"dinat-large-384-11x11", 201144250, 92.4},
    {"dinat_s-tiny", 28288354, 4.5},
    {"dinat_s-small", 49606258, 8.7},
    {"dinat_s-base", 87768224, 15.4},
    {"dinat_s-large", 196532476, 34.5},
    {"nat-iso-small", 21999736, 4.3},
    {"dinat-iso-small", 21999736, 4.3},
    {"vit-rpb-small", 22080376, 4.6},
    {"nat-iso-base", 86465800, 16.9},
    {"dinat-iso-base", 86465800, 16.9},
    {"vit-rpb-base", 86627080, 17.5},
};

TEST(Nat, ParametersAndOperationsAsPublished) {
  EXPECT_EQ(nat_presets().size(), std::size(kPublished));
  for (const Published& published : kPublished) {
    const auto made =
        find_module("pyramid", "model").make(yaml(fmt::format("{{preset: {}}}", published.name)));
    EXPECT_EQ(made->parameter_count(), published.parameters) << published.name;
    const double gflops = static_cast<const Pyramid&>(*made).flops() / 2e9;
    // Within 1% of a number that was rounded.
    EXPECT_NEAR(gflops, published.gflops, 0.05 + 0.01 * published.gflops) << published.name;
  }
}

TEST(Nat, LayersAreLocalAndDilatedInTurn) {
  const PyramidOptions o = read_pyramid_options(yaml("{preset: dinat-tiny}"));
  ASSERT_EQ(o.attentions.size(), 4u);
  EXPECT_TRUE(o.attentions[0].stages.empty());
  EXPECT_FALSE(o.attentions[0].attention.has("dilation"));
  for (int64_t stage = 1; stage <= 3; ++stage) {
    const StageAttention& dilated = o.attentions[static_cast<size_t>(stage)];
    EXPECT_EQ(dilated.stages, std::vector<int64_t>{stage});
    EXPECT_EQ(dilated.attention.at("dilation").as_integer(), 16 >> stage);
  }
  // A slot of one's own takes the place of both.
  EXPECT_TRUE(
      read_pyramid_options(yaml("{preset: dinat-tiny, attention: softmax}")).attentions.empty());
  // And a model's whole config makes it again.
  const auto model = make_classifier(yaml("{type: pyramid, preset: dinat-mini}"));
  EXPECT_EQ(make_classifier(model->config())->parameter_count(), model->parameter_count());
  EXPECT_EQ(model->config().at("attentions").as_list().size(), 4u);
}

// NAT's code pads maps that are smaller than a window: any image will do.
TEST(Nat, TakesImagesOfAnySize) {
  const NoGrad no_grad;
  const auto model = make_classifier(
      yaml(
          "{type: pyramid, preset: dinat-mini, depths: [2, 2, 1, 1], dims: [8, 16, 24, 32], heads: "
          "[1, 2, 3, 4]}"),
      5, ClassifierInput::images(201, 190, 3));
  model->initialise(1);
  const auto maps = static_cast<Pyramid&>(*model).features(random_tensor({1, 201, 190, 3}, "x"));
  EXPECT_EQ(maps[0].shape(), (Shape{1, 51, 48, 8}));
  EXPECT_EQ(maps[1].shape(), (Shape{1, 26, 24, 16}));
  EXPECT_EQ(maps[2].shape(), (Shape{1, 13, 12, 24}));
  EXPECT_EQ(maps[3].shape(), (Shape{1, 7, 6, 32}));
}

const char* const kSmall =
    "{height: 9, width: 6, channels: 2, outputs: 3, depths: [1, 2], dims: [2, 4], heads: [1, 2], "
    "mlp_ratios: [1], patch: 2, stem: convs, downsample: conv, head_dim: 3, ";

TEST(DensePyramid, GradientsAgreeWithDifferences) {
  const Inputs images = {{"x", random_tensor({1, 9, 6, 2}, "image", DType::f64)}};
  for (const char* rest :
       {"stage_norms: true, position: learned}",
        "layer_scale: 0.3, attentions: [{attention: {type: neighborhood, window: 3, relative: "
        "true, "
        "fit: pad}}, {stages: [2], attention: {type: neighborhood, window: 3, dilation: 2, "
        "relative: true, fit: pad}}]}"}) {
    EXPECT_EQ(gradcheck_module("dense_pyramid", "model", yaml(kSmall + std::string(rest)), images),
              "");
  }
}

// The header's formula, product by product, on the trunk's maps.
TEST(DensePyramid, EqualsItsFormula) {
  const NoGrad no_grad;
  const auto made = find_module("dense_pyramid", "model").make(yaml(kSmall + std::string("}")));
  made->initialise(1);
  made->convert(DType::f64);
  testing::randomise(*made);
  auto& model = static_cast<DensePyramid&>(*made);
  std::map<std::string, std::vector<double>> weights;
  for (const auto& p : made->named_parameters()) weights[p.name] = p.tensor->to_vector<double>();

  using Values = std::vector<double>;
  const auto linear = [&](const Values& x, const std::string& name) {
    const Values &weight = weights.at(name + ".weight"), &bias = weights.at(name + ".bias");
    const size_t out = bias.size(), in = weight.size() / out;
    Values y;
    for (size_t row = 0; row < x.size() / in; ++row) {
      for (size_t o = 0; o < out; ++o) {
        y.push_back(bias[o]);
        for (size_t i = 0; i < in; ++i) y.back() += weight[o * in + i] * x[row * in + i];
      }
    }
    return y;
  };
  const auto normed = [&](Values x, const std::string& name) {
    const Values &weight = weights.at(name + ".weight"), &bias = weights.at(name + ".bias");
    const size_t width = bias.size();
    for (size_t at = 0; at < x.size(); at += width) {
      double mean = 0, square = 0;
      for (size_t c = 0; c < width; ++c) mean += x[at + c] / static_cast<double>(width);
      for (size_t c = 0; c < width; ++c) {
        square += (x[at + c] - mean) * (x[at + c] - mean) / static_cast<double>(width);
      }
      for (size_t c = 0; c < width; ++c) {
        x[at + c] = (x[at + c] - mean) / std::sqrt(square + 1e-5) * weight[c] + bias[c];
      }
    }
    return x;
  };
  const auto enlarged = [](const Values& x, const Shape& from, const Shape& to) {
    return interpolate(Tensor::from(x, from), to, Interpolation::linear).to_vector<double>();
  };

  const Tensor x = random_tensor({1, 9, 6, 2}, "image", DType::f64);
  const auto maps = model.trunk.maps(x, DType::f64);
  ASSERT_EQ(maps[0].shape(), (Shape{1, 5, 3, 2}));
  ASSERT_EQ(maps[1].shape(), (Shape{1, 3, 2, 4}));
  const Values fine = linear(normed(maps[0].to_vector<double>(), "norms.0"), "projections.0");
  const Values coarse =
      enlarged(linear(normed(maps[1].to_vector<double>(), "norms.1"), "projections.1"),
               {1, 3, 2, 3}, {5, 3});
  Values both;
  for (size_t pixel = 0; pixel < 15; ++pixel) {
    for (const Values* m : {&fine, &coarse}) {
      for (size_t c = 0; c < 3; ++c) both.push_back((*m)[pixel * 3 + c]);
    }
  }
  Values fused = linear(both, "fuse");
  for (double& value : fused) value *= 0.5 * (1.0 + std::erf(value / std::sqrt(2.0)));
  const Values want = enlarged(linear(fused, "head"), {1, 5, 3, 3}, {9, 6});
  EXPECT_LT(testing::relative_distance(model.forward(x), Tensor::from(want, {1, 9, 6, 3})), 1e-12);
}

TEST(DensePyramid, GivesEveryStageAndEveryPixel) {
  const NoGrad no_grad;
  auto made =
      make_image_model(yaml("{type: dense_pyramid, preset: dinat-mini, depths: [1, 1, 1, 1], "
                            "dims: [8, 16, 24, 32], heads: [1, 2, 3, 4], head_dim: 16}"),
                       {.height = 45, .width = 38, .channels = 3, .outputs = 6});
  made->initialise(1);
  auto& model = static_cast<DensePyramid&>(*made);
  const Tensor x = random_tensor({2, 45, 38, 3}, "x");
  const auto maps = model.features(x);
  ASSERT_EQ(maps.size(), 4u);
  EXPECT_EQ(maps[0].shape(), (Shape{2, 12, 10, 8}));
  EXPECT_EQ(maps[3].shape(), (Shape{2, 2, 2, 32}));
  EXPECT_EQ(model.forward(x).shape(), (Shape{2, 45, 38, 6}));
  EXPECT_EQ(make_image_model(model.config())->parameter_count(), model.parameter_count());
  EXPECT_GT(model.flops(), 0.0);
  EXPECT_THROW(make_image_model(yaml("{type: dense_pyramid}")), RequestError);
}

// What a classifier has learnt is where a dense model looks for it.
TEST(DensePyramid, NamesItsWeightsAsTheClassifierDoes) {
  const auto dense =
      find_module("dense_pyramid", "model").make(yaml("{preset: nat-mini, outputs: 2}"));
  const auto classifier = find_module("pyramid", "model").make(yaml("{preset: nat-mini}"));
  std::map<std::string, Shape> shapes;
  for (const auto& p : dense->named_parameters()) shapes[p.name] = p.tensor->shape();
  for (const auto& p : classifier->named_parameters()) {
    if (p.name.starts_with("head") || p.name.starts_with("norms")) continue;
    EXPECT_EQ(shapes[p.name], p.tensor->shape()) << p.name;
  }
}

}  // namespace
}  // namespace heed::nn
