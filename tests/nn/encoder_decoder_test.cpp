#include "nn/models/encoder_decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/view.h"
#include "nn/attention/biased_attention.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using testing::random_ids;
using testing::random_tensor;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

std::unique_ptr<EncoderDecoder> make(const std::string& config) {
  auto model = std::make_unique<EncoderDecoder>(read_encoder_decoder_options(yaml(config)));
  model->initialise(3);
  testing::randomise(*model);
  model->eval();
  return model;
}

const char* const kSmall[] = {
    "{vocab: 11, layers: 2, dim: 4, hidden: 6, heads: 2, buckets: 8, max_distance: 6, "
    "scaled_logits: true, "
    "attention: {type: softmax, scale: 1}, cross_scale: 1, dropout: 0}",
    "{vocab: 11, layers: 1, decoder_layers: 2, dim: 4, hidden: 6, heads: 2, position: sinusoidal, "
    "norm: "
    "layer_norm, norm_first: false, bias: true, scaled_embedding: true, dropout: 0}",
    "{vocab: 11, layers: 1, dim: 4, hidden: 6, heads: 2, head_dim: 4, position: rotary, tied: "
    "false, mlp: "
    "swiglu, dropout: 0}",
    "{vocab: 11, layers: 1, dim: 4, hidden: 6, heads: 2, position: learned, context: 12, mlp: "
    "gelu, dropout: "
    "0}",
};

Inputs texts() {
  return {{"ids", random_ids({3, 5}, 11, "ids")},
          {"targets", Tensor::from(std::vector<int64_t>{4, 7, 1, 9, -100, -100}, {3, 2})},
          {"lengths", Tensor::from(std::vector<int64_t>{5, 2, 4}, {3})}};
}

TEST(CrossAttention, GradientsAgreeWithDifferences) {
  Inputs inputs{{"x", random_tensor({3, 2, 4}, "x", DType::f64)},
                {"memory", random_tensor({3, 5, 6}, "memory", DType::f64)}};
  const Config config = yaml("{dim: 4, memory_dim: 6, heads: 2}");
  EXPECT_EQ(gradcheck_module("cross_attention", "layer", config, inputs), "");
  inputs["lengths"] = Tensor::from(std::vector<int64_t>{3, 0, 5}, {3});
  EXPECT_EQ(gradcheck_module("cross_attention", "layer", config, inputs), "");
}

TEST(EncoderDecoder, GradientsAgreeWithDifferences) {
  for (const char* config : kSmall) {
    EXPECT_EQ(gradcheck_module("encoder_decoder", "model", yaml(config), texts()), "") << config;
  }
}

// The checkpoints of arXiv 1910.10683, counted to the last digit.
TEST(EncoderDecoder, PublishedSizes) {
  const auto count = [](const char* config) {
    return find_module("encoder_decoder", "model").make(yaml(config))->parameter_count();
  };
  EXPECT_EQ(count("{preset: t5-small}"), 60506624);
  EXPECT_EQ(count("{preset: t5-base}"), 222903552);
}

TEST(EncoderDecoder, TokenByTokenEqualsAllAtOnce) {
  const NoGrad no_grad;
  const Inputs in = texts();
  const Tensor next = random_ids({3, 7}, 11, "next");
  for (const char* config : kSmall) {
    const auto model = make(config);
    const Tensor all = model->forward(in.at("ids"), next, in.at("lengths"));
    const auto state = model->start(in.at("ids"), in.at("lengths"));
    EXPECT_LT(relative_distance(model->decode(slice(next, 1, 0, 3), *state), select(all, 1, 2)),
              1e-4);
    for (int64_t t = 3; t < 7; ++t) {
      // Some dozen sums of at most 24 products, in other orders.
      EXPECT_LT(
          relative_distance(model->decode(slice(next, 1, t, t + 1), *state), select(all, 1, t)),
          1e-4)
          << config << " at " << t;
    }
    EXPECT_EQ(state->length(), 7);
  }
}

TEST(EncoderDecoder, PaddingHasNoInfluence) {
  const NoGrad no_grad;
  const Tensor ids = random_ids({1, 6}, 11, "ids"), next = random_ids({1, 3}, 11, "next");
  const Tensor other = concat({slice(ids, 1, 0, 4), random_ids({1, 2}, 11, "other")}, 1);
  const Tensor lengths = Tensor::from(std::vector<int64_t>{4}, {1});
  for (const char* config : kSmall) {
    const auto model = make(config);
    const Tensor logits = model->forward(ids, next, lengths);
    EXPECT_TRUE(bitwise_equal(model->forward(other, next, lengths), logits)) << config;
    EXPECT_LT(relative_distance(model->forward(slice(ids, 1, 0, 4), next, {}), logits), 1e-5);
  }
}

TEST(EncoderDecoder, WritesGreedilyOrByDraws) {
  const NoGrad no_grad;
  const auto model = make(kSmall[0]);
  const Inputs in = texts();
  const Tensor text = model->generate(in.at("ids"), in.at("lengths"), {.tokens = 5});
  ASSERT_EQ(text.shape(), (Shape{3, 5}));
  // Each token is the likeliest one after those before it.
  const Tensor logits = model->forward(in.at("ids"), model->decoder_ids(text), in.at("lengths"));
  const std::vector<float> values = logits.to_vector<float>();
  const std::vector<int64_t> tokens = text.to_vector<int64_t>();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(11 * i);
    EXPECT_EQ(std::max_element(first, first + 11) - first, tokens[i]);
  }
  // What ends at once has one token; a row that ends early is filled up.
  const GenerateOptions until{.tokens = 5, .end = tokens[0]};
  const Tensor cut = model->generate(in.at("ids"), in.at("lengths"), until);
  EXPECT_EQ(cut.to_vector<int64_t>()[0], tokens[0]);
  if (cut.size(1) > 1) {
    EXPECT_EQ(cut.to_vector<int64_t>()[1], tokens[0]);
  }
  GenerateOptions drawn{.tokens = 5, .temperature = 2.0, .key = {5, 6, 0}};
  const Tensor one = model->generate(in.at("ids"), in.at("lengths"), drawn);
  EXPECT_TRUE(bitwise_equal(model->generate(in.at("ids"), in.at("lengths"), drawn), one));
  drawn.key.seed = 6;
  EXPECT_FALSE(bitwise_equal(model->generate(in.at("ids"), in.at("lengths"), drawn), one));
}

// Smoothed targets: the rest of 1 - s is spread over all of the vocabulary.
TEST(EncoderDecoder, LossTakesSmoothedTargets) {
  const NoGrad no_grad;
  const auto model = make(kSmall[0]);
  const Inputs in = texts();
  const Tensor& targets = in.at("targets");
  const Tensor logits = model->forward(in.at("ids"), model->decoder_ids(targets), in.at("lengths"));
  const std::vector<float> log_p = log_softmax(logits, -1).to_vector<float>();
  const std::vector<int64_t> ids = targets.to_vector<int64_t>();
  constexpr double kSmoothing = 0.3;
  double expected = 0.0;
  int count = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    ++count;
    for (size_t v = 0; v < 11; ++v) {
      const double share =
          kSmoothing / 11.0 + (static_cast<int64_t>(v) == ids[i] ? 1.0 - kSmoothing : 0.0);
      expected -= share * static_cast<double>(log_p[i * 11 + v]);
    }
  }
  expected /= count;
  const double own = model->loss(in.at("ids"), targets, in.at("lengths"), kSmoothing).item();
  EXPECT_NEAR(own, expected, 64 * 0x1p-23 * expected);  // sums of 11 terms, then of 4
  const double sharp = model->loss(in.at("ids"), targets, in.at("lengths")).item();
  EXPECT_GT(std::abs(own - sharp), 0.01 * sharp);
}

TEST(EncoderDecoder, SaysWhatCannotBe) {
  EXPECT_THROW(make("{}"), RequestError);
  EXPECT_THROW(make("{vocab: 9, start: 9}"), RequestError);
  EXPECT_THROW(make("{vocab: 9, heads: 3}"), RequestError);
  EXPECT_THROW(make("{vocab: 9, position: rotary, head_dim: 5}"), RequestError);
  const auto model = make(kSmall[3]);
  EXPECT_THROW(model->encode(random_ids({1, 13}, 11, "long")), Error);
  EXPECT_THROW(model->forward(random_ids({2, 3}, 11, "a"), random_ids({1, 3}, 11, "b"), {}), Error);
}

TEST(BiasedAttention, WithoutBiasesIsPlainAttention) {
  const NoGrad no_grad;
  const Tensor q = random_tensor({2, 4, 3, 6}, "q"), k = random_tensor({2, 2, 5, 6}, "k"),
               v = random_tensor({2, 2, 5, 7}, "v"), bias = Tensor::zeros({4, 3, 5});
  for (const bool causal : {false, true}) {
    AttentionSpec spec;
    if (causal) spec.pattern = AttentionPattern::causal(2);
    // Sums of 6 products, then of 5.
    EXPECT_LT(
        relative_distance(biased_attention(q, k, v, bias, {}, spec), attention(q, k, v, spec).out),
        64 * 0x1p-23);
  }
  // A bias that no other can outweigh takes the one value there.
  Tensor one = Tensor::zeros({4, 3, 5});
  one.data<float>()[4] = 200.0f;  // head 0, query 0, key 4
  const Tensor out = biased_attention(q, k, v, one, {}, {});
  EXPECT_LT(relative_distance(select(select(out, 1, 0), 1, 0), select(select(v, 1, 0), 1, 4)),
            1e-6);
  EXPECT_THROW(biased_attention(q, k, v, Tensor::zeros({4, 3, 4}), {}, {}), Error);
}

}  // namespace
}  // namespace heed::nn
