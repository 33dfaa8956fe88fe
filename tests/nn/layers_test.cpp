// Every layer's gradients against central differences, and what each layer promises.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops/elementwise.h"
#include "nn/layers/alibi.h"
#include "nn/layers/dropout.h"
#include "nn/layers/embedding.h"
#include "nn/layers/learned_position.h"
#include "nn/layers/mlp.h"
#include "nn/layers/sinusoidal_position.h"
#include "nn/layers/swiglu.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::gradcheck_module;
using testing::random_ids;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test"); }
Tensor f64(const Shape& shape, const std::string& name = "x") {
  return random_tensor(shape, name, DType::f64);
}

struct Case {
  std::string module;
  std::string config;
  Shape x;
};

class LayerGradient : public ::testing::TestWithParam<Case> {};

TEST_P(LayerGradient, EqualsCentralDifferences) {
  const Case& c = GetParam();
  EXPECT_EQ(gradcheck_module(c.module, "layer", yaml(c.config), {{"x", f64(c.x)}}), "");
}

INSTANTIATE_TEST_SUITE_P(
    Layers, LayerGradient,
    ::testing::Values(Case{"linear", "{in: 5, out: 3}", {2, 3, 5}},
                      Case{"linear", "{in: 1, out: 7, bias: false}", {4, 1}},
                      Case{"layer_norm", "{dim: 7}", {3, 7}},
                      Case{"layer_norm", "{dim: 5, bias: false}", {2, 2, 5}},
                      Case{"layer_norm", "{dim: 5, affine: false}", {2, 5}},
                      Case{"rms_norm", "{dim: 7}", {3, 7}},
                      Case{"rms_norm", "{dim: 3, affine: false, eps: 1.0e-3}", {2, 3}},
                      Case{"mlp", "{dim: 3}", {2, 3}},
                      Case{"mlp", "{dim: 3, hidden: 5, activation: gelu_tanh}", {2, 2, 3}},
                      Case{"mlp", "{dim: 3, hidden: 5, activation: silu, bias: false}", {2, 3}},
                      Case{"swiglu", "{dim: 3, hidden: 5}", {2, 3}},
                      Case{"swiglu", "{dim: 2, hidden: 3, bias: true}", {2, 2, 2}},
                      Case{"learned_position", "{context: 4, dim: 3}", {2, 3, 3}},
                      Case{"sinusoidal_position", "{dim: 5}", {2, 3, 5}},
                      Case{"sinusoidal_position", "{dim: 4, scale: 2.5}", {2, 3, 4}},
                      Case{"rotary", "{}", {2, 2, 3, 4}},
                      Case{"rotary", "{interleaved: true, rotary_dim: 4}", {1, 2, 3, 6}},
                      Case{"dropout", "{p: 0.3}", {3, 5}},
                      Case{"channel_dropout", "{p: 0.3}", {3, 1, 5}}),
    [](const auto& c) { return c.param.module + "_" + std::to_string(c.index); });

TEST(MlpGradient, OfReluAwayFromItsKink) {
  // Values within the step of 0 would make the difference quotient wrong, not the gradient.
  const Tensor x = f64({2, 3});
  EXPECT_EQ(gradcheck_module("mlp", "layer", yaml("{dim: 3, activation: relu}"), {{"x", x}}), "");
}

TEST(DropoutGradient, UsesTheForwardMask) {
  random_context() = {.seed = 3, .step = 4};
  EXPECT_EQ(gradcheck_module("dropout", "layer", yaml("{p: 0.4}"), {{"x", f64({4, 5})}}, true), "");
  EXPECT_EQ(gradcheck_module("channel_dropout", "layer", yaml("{p: 0.4}"),
                             {{"x", f64({3, 2, 1, 5})}}, true),
            "");
  random_context() = {};
}

TEST(EmbeddingGradient, SumsOverRepeatedIds) {
  const Tensor ids = Tensor::from(std::vector<int64_t>{1, 0, 1, 4, 1, 4}, {2, 3});
  EXPECT_EQ(gradcheck_module("embedding", "layer", yaml("{vocab: 5, dim: 3}"), {{"ids", ids}}), "");
}

TEST(AlibiGradient, PassesThrough) {
  const Tensor scores = f64({1, 3, 2, 4});
  EXPECT_EQ(gradcheck_module("alibi", "layer", yaml("{heads: 3}"), {{"scores", scores}}), "");
}

TEST(CrossEntropyGradient, EqualsCentralDifferences) {
  const Tensor targets = Tensor::from(std::vector<int64_t>{2, -100, 0}, {3});
  EXPECT_EQ(gradcheck_module("cross_entropy", "loss", yaml("{smoothing: 0.1}"),
                             {{"logits", f64({3, 4})}, {"targets", targets}}),
            "");
}

TEST(Mlp, HiddenIsFourTimesTheWidthUnlessGiven) {
  EXPECT_EQ(Mlp(MlpOptions{.dim = 6}).up.weight.shape(), Shape({24, 6}));
  EXPECT_EQ(Mlp(MlpOptions{.dim = 6, .hidden = 5}).down.weight.shape(), Shape({6, 5}));
}

TEST(Swiglu, HiddenRoundsEightThirdsUpTo64) {
  EXPECT_EQ(Swiglu(SwigluOptions{.dim = 96}).down.weight.shape(), Shape({96, 256}));
  EXPECT_EQ(Swiglu(SwigluOptions{.dim = 97}).down.weight.shape(), Shape({97, 320}));
}

TEST(Alibi, SlopesFollowThePaper) {
  EXPECT_THAT(alibi_slopes(8), ::testing::ElementsAre(0x1p-1f, 0x1p-2f, 0x1p-3f, 0x1p-4f, 0x1p-5f,
                                                      0x1p-6f, 0x1p-7f, 0x1p-8f));
  // 12 heads: those of 8, then the first, third, ... of 16.
  const std::vector<float> twelve = alibi_slopes(12);
  ASSERT_EQ(twelve.size(), 12u);
  EXPECT_EQ(twelve[7], 0x1p-8f);
  EXPECT_FLOAT_EQ(twelve[8], std::exp2(-0.5f));
  EXPECT_FLOAT_EQ(twelve[9], std::exp2(-1.5f));
  EXPECT_FLOAT_EQ(twelve[11], std::exp2(-3.5f));
  EXPECT_EQ(alibi_slopes(1), std::vector<float>{0x1p-8f});
}

TEST(Alibi, BiasCountsFromTheQueriesOwnPosition) {
  Alibi alibi(AlibiOptions{1});
  const Tensor out = alibi.forward(Tensor::zeros({1, 1, 2, 3}));
  const double s = 0x1p-8;
  EXPECT_EQ(out.to_vector<double>(), (std::vector<double>{-s, 0, s, -2 * s, -s, 0}));
}

TEST(SinusoidalPosition, TableIsTheFormula) {
  const Tensor table = sinusoidal_table(3, 4, 100.0, DType::f64);
  const std::vector<double> values = table.to_vector<double>();
  EXPECT_DOUBLE_EQ(values[8], std::sin(2.0));
  EXPECT_DOUBLE_EQ(values[9], std::cos(2.0));
  EXPECT_DOUBLE_EQ(values[10], std::sin(0.2));  // 100^(2/4) = 10
  EXPECT_DOUBLE_EQ(values[11], std::cos(0.2));
}

TEST(SinusoidalPosition, ContinuesFromAnyPosition) {
  SinusoidalPosition position(SinusoidalPositionOptions{.dim = 6});
  const Tensor all = position.forward(Tensor::zeros({1, 5, 6}));
  const Tensor last = position.forward(Tensor::zeros({1, 1, 6}), position_ids(4, 1));
  const std::vector<float> a = all.to_vector<float>(), b = last.to_vector<float>();
  EXPECT_EQ(std::vector<float>(a.end() - 6, a.end()), b);
}

TEST(SinusoidalPosition, TakesPositionsInAnyOrderAndMoreThanOnce) {
  SinusoidalPosition position(SinusoidalPositionOptions{.dim = 2});
  const Tensor zeros = Tensor::zeros({1, 3, 2});
  const std::vector<float> table = position.forward(zeros).to_vector<float>();
  for (const std::vector<int64_t>& ids :
       {std::vector<int64_t>{0, 0, 2}, {0, 2, 2}, {2, 1, 0}, {1, 1, 1}}) {
    const Tensor at = Tensor::from(ids, {3});
    const std::vector<float> out = position.forward(zeros, at).to_vector<float>();
    for (size_t i = 0; i < out.size(); ++i)
      EXPECT_EQ(out[i], table[2 * static_cast<size_t>(ids[i / 2]) + i % 2]) << i;
  }
}

TEST(LearnedPosition, EndsAtItsTable) {
  LearnedPosition position(LearnedPositionOptions{.context = 4, .dim = 2});
  position.initialise(1);
  EXPECT_NO_THROW(position.forward(Tensor::zeros({1, 4, 2})));
  EXPECT_THROW(position.forward(Tensor::zeros({1, 5, 2})), Error);
  EXPECT_THROW(position.forward(Tensor::zeros({1, 1, 2}), position_ids(4, 1)), Error);
}

TEST(Dropout, MaskBelongsToStepAndPlace) {
  struct Two : Module {
    Two() : a(0.5), b(0.5) { children({{"a", a}, {"b", b}}); }
    Dropout a, b;
  } two;
  two.initialise(1);
  const Tensor x = Tensor::full({8, 16}, 1.0);
  random_context() = {.seed = 1, .step = 5};
  const Tensor first = two.a(x);
  EXPECT_TRUE(testing::bitwise_equal(first, two.a(x)));
  EXPECT_FALSE(testing::bitwise_equal(first, two.b(x)));
  random_context().step = 6;
  EXPECT_FALSE(testing::bitwise_equal(first, two.a(x)));
  random_context() = {.seed = 1, .step = 5, .part = 1};
  EXPECT_FALSE(testing::bitwise_equal(first, two.a(x)));
  random_context() = {.seed = 1, .step = 5};
  EXPECT_TRUE(testing::bitwise_equal(first, two.a(x)));
  random_context() = {};
}

// Ranks and micro-batches draw for their rows what one batch would.
TEST(Dropout, PartsOfABatchDrawWhatTheWholeDoes) {
  Dropout dropout(0.5);
  dropout.initialise(1);
  for (const int64_t width : {1, 3, 16, 1031}) {
    const Tensor x = Tensor::full({6, width}, 1.0);
    random_context() = {.seed = 1, .step = 5};
    const std::vector<float> whole = dropout(x).to_vector<float>();
    for (const int64_t parts : {2, 3, 6}) {
      std::vector<float> joined;
      for (int64_t part = 0; part < parts; ++part) {
        random_context().part = static_cast<uint64_t>(part);
        const Tensor rows = Tensor::full({6 / parts, width}, 1.0);
        for (const float value : dropout(rows).to_vector<float>()) joined.push_back(value);
      }
      EXPECT_EQ(joined, whole) << width << " " << parts;
    }
  }
  random_context() = {};
}

// Ranks pad their rows to different lengths.
TEST(Dropout, ARowsDrawsDoNotDependOnItsPadding) {
  Dropout dropout(0.5);
  dropout.initialise(1);
  random_context() = {.seed = 1, .step = 5, .part = 1};
  const std::vector<float> narrow = dropout(Tensor::full({3, 5, 4}, 1.0)).to_vector<float>();
  const std::vector<float> wide = dropout(Tensor::full({3, 9, 4}, 1.0)).to_vector<float>();
  for (size_t row = 0; row < 3; ++row) {
    for (size_t i = 0; i < 20; ++i) EXPECT_EQ(narrow[20 * row + i], wide[36 * row + i]);
  }
  random_context() = {};
}

TEST(ChannelDropout, DropsWholeChannelsOfEachSample) {
  ChannelDropout dropout(0.25);
  dropout.initialise(1);
  random_context() = {.seed = 1, .step = 5};
  const int64_t samples = 8, pixels = 6, channels = 500;
  const std::vector<float> out =
      dropout(Tensor::full({samples, 3, 2, channels}, 1.0)).to_vector<float>();
  random_context() = {};
  const auto at = [&](int64_t b, int64_t pixel, int64_t c) {
    return out[static_cast<size_t>((b * pixels + pixel) * channels + c)];
  };
  int64_t kept = 0, differ = 0;
  for (int64_t b = 0; b < samples; ++b) {
    for (int64_t c = 0; c < channels; ++c) {
      const float first = at(b, 0, c);
      EXPECT_TRUE(first == 0.0f || first == 1.0f / 0.75f) << first;
      for (int64_t pixel = 1; pixel < pixels; ++pixel) EXPECT_EQ(at(b, pixel, c), first);
      kept += first != 0.0f;
      differ += first != at(0, 0, c);
    }
  }
  const double draws = samples * channels;
  EXPECT_NEAR(static_cast<double>(kept) / draws, 0.75, 5 * std::sqrt(0.25 * 0.75 / draws));
  EXPECT_GT(differ, 0) << "every sample drops the same channels";
}

TEST(ChannelDropout, PartsOfABatchDrawWhatTheWholeDoes) {
  ChannelDropout dropout(0.5);
  dropout.initialise(1);
  random_context() = {.seed = 1, .step = 5};
  const std::vector<float> whole = dropout(Tensor::full({6, 3, 7}, 1.0)).to_vector<float>();
  for (const int64_t parts : {2, 3, 6}) {
    std::vector<float> joined;
    for (int64_t part = 0; part < parts; ++part) {
      random_context().part = static_cast<uint64_t>(part);
      const Tensor rows = Tensor::full({6 / parts, 3, 7}, 1.0);
      for (const float value : dropout(rows).to_vector<float>()) joined.push_back(value);
    }
    EXPECT_EQ(joined, whole) << parts;
  }
  random_context() = {};
}

TEST(ChannelDropout, IsTheIdentityInEvaluation) {
  ChannelDropout dropout(0.5);
  dropout.eval();
  const Tensor x = random_tensor({3, 2, 4}, "x");
  EXPECT_TRUE(testing::bitwise_equal(dropout(x), x));
}

TEST(Dropout, IsTheIdentityInEvaluation) {
  Dropout dropout(0.5);
  dropout.eval();
  const Tensor x = random_tensor({3, 4}, "x");
  EXPECT_TRUE(dropout(x).is_same(x));
}

TEST(Embedding, TakesTheComputeDtype) {
  Embedding embed(5, 4);
  embed.initialise(1);
  const Tensor ids = random_ids({2, 3}, 5, "ids");
  EXPECT_EQ(embed(ids).dtype(), DType::f32);
  embed.compute_in(DType::bf16);
  EXPECT_EQ(embed(ids).dtype(), DType::bf16);
  EXPECT_EQ(embed.weight.dtype(), DType::f32);
}

}  // namespace
}  // namespace heed::nn
