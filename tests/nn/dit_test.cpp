// The diffusion transformer and its embeddings of time and class.
#include "nn/models/dit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using testing::random_ids;
using testing::random_tensor;
using testing::randomise;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

std::unique_ptr<ImageModel> make(const std::string& text) {
  auto model = make_image_model(yaml(text));
  model->initialise(7);
  model->eval();
  return model;
}

Inputs inputs(const Shape& x) {
  return {{"x", random_tensor(x, "x", DType::f64)},
          {"times", random_tensor({x[0]}, "times", DType::f64)}};
}

TEST(TimeEmbedding, IsCosinesAndSinesThroughTwoLayers) {
  TimeEmbedding embedding({.dim = 2, .frequencies = 4});
  embedding.initialise(1);
  embedding.convert(DType::f64);
  const NoGrad no_grad;
  const double t = 3.0;
  const double waves[] = {std::cos(t), std::cos(t / 100), std::sin(t), std::sin(t / 100)};
  const auto w1 = embedding.fc1.weight.to_vector<double>();
  const auto w2 = embedding.fc2.weight.to_vector<double>();
  double hidden[2];
  for (size_t i = 0; i < 2; ++i) {
    double z = 0;
    for (size_t k = 0; k < 4; ++k) z += w1[i * 4 + k] * waves[k];
    hidden[i] = z / (1 + std::exp(-z));
  }
  const auto y = embedding(Tensor::from(std::vector<double>{t}, {1})).to_vector<double>();
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(y[i], w2[i * 2] * hidden[0] + w2[i * 2 + 1] * hidden[1], 1e-15);
  }
}

TEST(LabelEmbedding, DropsLabelsInTrainingAlone) {
  LabelEmbedding embedding({.classes = 3, .dim = 1, .dropout = 0.25});
  embedding.initialise(1);
  embedding.weight = Tensor::from(std::vector<float>{0, 1, 2, 9}, {4, 1});
  const NoGrad no_grad;
  constexpr int64_t kRows = 4000;
  const Tensor labels = random_ids({kRows}, 3, "labels");
  const auto expected = labels.to_vector<int64_t>();
  const auto trained = embedding(labels).to_vector<float>();
  int64_t dropped = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (trained[i] == 9.0f) {
      ++dropped;
    } else {
      EXPECT_EQ(trained[i], static_cast<float>(expected[i]));
    }
  }
  EXPECT_NEAR(static_cast<double>(dropped) / kRows, 0.25, 4 * std::sqrt(0.25 * 0.75 / kRows));
  EXPECT_EQ(embedding(labels).to_vector<float>(), trained) << "the draw is keyed";
  embedding.eval();
  EXPECT_EQ(embedding(embedding.none(2)).to_vector<float>(), (std::vector<float>{9, 9}));
  const auto evaluated = embedding(labels).to_vector<float>();
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(evaluated[i], static_cast<float>(expected[i]));
  }
  const LabelEmbedding certain({.classes = 3, .dim = 1, .dropout = 0.0});
  EXPECT_EQ(certain.weight.size(0), 3);
  EXPECT_THROW(certain.none(1), Error);
}

TEST(Embeddings, GradientsAgreeWithDifferences) {
  EXPECT_EQ(gradcheck_module("time_embedding", "layer", yaml("{dim: 3, frequencies: 6}"),
                             {{"times", random_tensor({4}, "times", DType::f64)}}),
            "");
  EXPECT_EQ(gradcheck_module("label_embedding", "layer", yaml("{classes: 3, dim: 2}"),
                             {{"labels", Tensor::from(std::vector<int64_t>{2, 0, 3}, {3})}}),
            "");
}

TEST(Dit, GradientsAgreeWithDifferences) {
  Inputs images = inputs({2, 4, 6, 2});
  images["labels"] = Tensor::from(std::vector<int64_t>{2, 3}, {2});
  EXPECT_EQ(gradcheck_module("dit", "model",
                             yaml("{height: 4, width: 6, channels: 2, classes: 3, layers: 2, dim: "
                                  "8, heads: 2, hidden: 6, outputs: 3}"),
                             images),
            "");
  EXPECT_EQ(gradcheck_module("dit", "model",
                             yaml("{frames: 2, height: 2, width: 4, channels: 1, patch_frames: 2, "
                                  "layers: 1, dim: 8, heads: 2, hidden: 6, position: learned, "
                                  "qk_norm: true, checkpointing: true}"),
                             inputs({2, 2, 2, 4, 1}), true),
            "");
}

// arXiv 2212.09748, table 1: millions of parameters, and Gflops with a multiply-add counted as one.
TEST(Dit, PublishedSizes) {
  struct Size {
    const char* preset;
    double millions, giga;
  };
  for (const Size& size : {Size{"dit-s/2", 33, 6.06}, Size{"dit-b/2", 130, 23.01},
                           Size{"dit-l/2", 458, 80.71}, Size{"dit-xl/2", 675, 118.64}}) {
    const auto model =
        find_module("dit", "model").make(yaml(fmt::format("{{preset: {}}}", size.preset)));
    EXPECT_EQ(std::round(static_cast<double>(model->parameter_count()) / 1e6), size.millions)
        << size.preset;
    EXPECT_NEAR(static_cast<ImageModel&>(*model).flops() / 2e9, size.giga, 0.006 * size.giga)
        << size.preset;
    // The official code also counts its frozen table of positions (256 tokens of 1152).
    if (size.millions == 675) {
      EXPECT_EQ(model->parameter_count() + 256 * 1152, 675129632);
    }
  }
}

TEST(Dit, StartsAtZeroAndPutsPatchesBack) {
  const auto model = make(
      "{type: dit, frames: 2, height: 4, width: 6, channels: 3, layers: 1, dim: 16, heads: 2}");
  const NoGrad no_grad;
  const Tensor x = random_tensor({1, 2, 4, 6, 3}, "x"), t = Tensor::full({1}, 500.0, DType::f32);
  for (const float value : model->forward(x, t, {}).to_vector<float>()) EXPECT_EQ(value, 0.0f);

  // With a head that only has a bias, each pixel of a patch gets the bias of its own place.
  auto& dit = static_cast<Dit&>(*model);
  std::vector<float> bias(12);
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i);
  dit.head.bias = Tensor::from(bias, {12});
  const Tensor y = model->forward(x, t, {});
  EXPECT_EQ(y.shape(), x.shape());
  const auto values = y.to_vector<float>();
  for (int64_t frame = 0; frame < 2; ++frame) {
    for (int64_t row = 0; row < 4; ++row) {
      for (int64_t column = 0; column < 6; ++column) {
        for (int64_t c = 0; c < 3; ++c) {
          const int64_t at = ((frame * 4 + row) * 6 + column) * 3 + c;
          EXPECT_EQ(values[static_cast<size_t>(at)],
                    static_cast<float>((row % 2 * 2 + column % 2) * 3 + c));
        }
      }
    }
  }
}

TEST(Dit, PositionsAreWavesOfTheCoordinates) {
  const auto table = grid_positions(1, 2, 3, 8).to_vector<double>();
  const double x = 2, y = 1;
  const double expected[] = {std::sin(x), std::sin(x / 100), std::cos(x), std::cos(x / 100),
                             std::sin(y), std::sin(y / 100), std::cos(y), std::cos(y / 100)};
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(table[5 * 8 + i], expected[i], 1e-15);
}

TEST(Dit, WithoutALabelIsTheRowOfNone) {
  const auto model = make(
      "{type: dit, height: 4, width: 4, channels: 1, classes: 2, layers: 1, dim: 8, heads: 2}");
  randomise(*model);
  const NoGrad no_grad;
  const Tensor x = random_tensor({2, 4, 4, 1}, "x"), t = Tensor::full({2}, 10.0, DType::f32);
  const Tensor none = Tensor::from(std::vector<int64_t>{2, 2}, {2});
  const Tensor one = Tensor::from(std::vector<int64_t>{1, 1}, {2});
  EXPECT_TRUE(bitwise_equal(model->forward(x, t, {}), model->forward(x, t, none)));
  EXPECT_FALSE(bitwise_equal(model->forward(x, t, {}), model->forward(x, t, one)));
  EXPECT_TRUE(model->unconditional());
}

TEST(Dit, SaysWhatCannotBe) {
  const auto refuses = [](const char* config, const ImageGeometry& data = {}) {
    EXPECT_THROW(make_image_model(yaml(config), data), RequestError) << config;
  };
  refuses("{type: dit}");
  refuses("{type: dit, height: 7, width: 8, channels: 1}");
  refuses("{type: dit, frames: 3, patch_frames: 2, height: 8, width: 8, channels: 1}");
  refuses("{type: dit, dim: 30, heads: 3, height: 8, width: 8, channels: 1}");
  refuses("{type: dit, height: 32, width: 32, channels: 3}", {.height = 16, .width = 16});
  refuses("{type: vit, height: 8, width: 8, classes: 2}");
  const auto model = make("{type: dit, height: 4, width: 4, channels: 1, dim: 8, heads: 2}");
  const Tensor x = Tensor::zeros({1, 4, 4, 1}, DType::f32), t = Tensor::zeros({1}, DType::f32);
  EXPECT_THROW(model->forward(x), Error);
  EXPECT_THROW(model->forward(x, t, Tensor::zeros({1}, DType::i64)), Error);
  EXPECT_THROW(model->forward(Tensor::zeros({1, 8, 2, 1}, DType::f32), t, {}), Error);
}

}  // namespace
}  // namespace heed::nn
