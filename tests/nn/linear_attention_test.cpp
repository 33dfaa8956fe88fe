// Mechanisms in linear time: decoding, gradients, padding, the models that hold them.
#include <gtest/gtest.h>

#include "core/views.h"
#include "kernels/copy/copy.h"
#include "nn/attention/registry.h"
#include "nn/models/language_model.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::random_tensor;
using testing::relative_distance;

const AttentionHost kCausal{.dim = 8, .heads = 2};
const AttentionHost kBoth{.dim = 8, .heads = 2, .causal = false};

std::unique_ptr<AttentionMechanism> made(const std::string& slot, const AttentionHost& host) {
  auto mechanism = make_attention(parse_yaml(slot, "test"), host);
  mechanism->initialise(1);
  mechanism->convert(DType::f64);
  testing::randomise(*mechanism);
  return mechanism;
}

const std::vector<std::string>& causal_slots() {
  static const std::vector<std::string> all = {"linear",
                                               "{type: linear, feature: relu}",
                                               "{type: linear, feature: cosformer, span: 90}",
                                               "{type: linear, feature: identity, normalise: rms}",
                                               "{type: linear, feature: identity, normalise: none}",
                                               "retention",
                                               "{type: gated_linear, gate: token}",
                                               "{type: gated_linear, gate: channel, gate_rank: 3}",
                                               "{type: gated_linear, output_gate: false}",
                                               "{type: lla, tolerance: 1e-14, iterations: 60}"};
  return all;
}

TEST(LinearAttentionMechanism, DecodingWithAStateEqualsTheWholePass) {
  for (const std::string& slot : causal_slots())
    for (const int64_t kv_heads : {2, 1}) {
      AttentionHost host = kCausal;
      host.position = "rotary";
      host.kv_heads = kv_heads;
      const auto mechanism = made(slot, host);
      const Tensor x = random_tensor({2, 83, 8}, "x", DType::f64);
      KvCache cache(1);
      EXPECT_LT(testing::decoding_distance(*mechanism, x, {66, 1, 1, 5, 10}, cache), 1e-12) << slot;
      if (slot.find("lla") == std::string::npos) {
        EXPECT_THROW(cache.truncate(80), Error);
      }
      cache.truncate(0);
      EXPECT_LT(testing::decoding_distance(*mechanism, views::slice(x, 1, 0, 9), {9}, cache), 1e-12)
          << slot;
    }
}

TEST(LinearAttentionMechanism, NoTokenHearsLaterOnes) {
  for (const std::string& slot : causal_slots()) {
    const auto mechanism = made(slot, kCausal);
    const Tensor x = random_tensor({1, 70, 8}, "x", DType::f64);
    const Tensor other = Tensor::empty(x.shape(), DType::f64);
    kernels::copy(x, other);
    const Tensor later = views::slice(other, 1, 66, 70);
    kernels::copy(random_tensor({1, 4, 8}, "y", DType::f64), later);
    const auto first = [](const Tensor& t) {
      return views::slice(t, 1, 0, 66).to_vector<double>();
    };
    EXPECT_EQ(first(mechanism->forward(x)), first(mechanism->forward(other))) << slot;
  }
}

TEST(LinearAttentionMechanism, GradientsEqualCentralDifferences) {
  const Tensor x = random_tensor({1, 6, 4}, "x", DType::f64);
  const auto check = [&](const char* name, const std::string& config) {
    EXPECT_EQ(testing::gradcheck_module(name, "attention", parse_yaml(config, "test"), {{"x", x}}),
              "")
        << config;
  };
  check("linear_attention", "{dim: 4, heads: 2}");
  check("linear_attention", "{dim: 4, heads: 2, kv_heads: 1, causal: false}");
  check("linear_attention", "{dim: 4, heads: 2, feature: cosformer, causal: false, bias: false}");
  check("linear_attention", "{dim: 4, heads: 2, feature: identity, normalise: rms}");
  check("local_linear", "{dim: 4, heads: 2, ridge: 0.3, tolerance: 1e-14, iterations: 60}");
  check("local_linear",
        "{dim: 4, heads: 2, kv_heads: 1, causal: false, ridge: 3, tolerance: 1e-14}");
  check("gated_linear", "{dim: 4, heads: 2}");
  check("gated_linear", "{dim: 4, heads: 2, gate: token, qk_norm: true}");
  check("gated_linear", "{dim: 4, heads: 2, gate: channel, gate_rank: 2, output_gate: false}");
}

TEST(LinearAttentionMechanism, PaddingIsNotHeard) {
  for (const char* slot : {"linear", "{type: linear, feature: cosformer, span: 9}"}) {
    const auto mechanism = made(slot, kBoth);
    const Tensor x = random_tensor({1, 8, 8}, "x", DType::f64);
    const Tensor lengths = Tensor::from(std::vector<int64_t>{5}, {1});
    const Tensor padded = mechanism->forward(x, {.lengths = lengths});
    const Tensor alone = mechanism->forward(views::slice(x, 1, 0, 5));
    EXPECT_LT(relative_distance(views::slice(padded, 1, 0, 5), alone), 1e-13) << slot;
  }
}

TEST(LinearAttentionMechanism, LengthsAndCachesThatDoNotFitAreRefused) {
  const auto mechanism = made("linear", kBoth);
  const Tensor x = random_tensor({2, 8, 8}, "x", DType::f64);
  for (const std::vector<int64_t>& lengths : {std::vector<int64_t>{5}, {5, 9}, {5, -1}}) {
    const Tensor wrong = Tensor::from(lengths, {static_cast<int64_t>(lengths.size())});
    EXPECT_THROW(mechanism->forward(x, {.lengths = wrong}), Error);
  }
  KvCache cache(1);
  const NoGrad none;
  EXPECT_THROW(mechanism->forward(x, {.cache = &cache}), Error);  // it sees both sides
}

TEST(LinearAttentionMechanism, CosFormerOfASpanFarLongerThanTheSequenceIsRelu) {
  const Tensor x = random_tensor({1, 12, 8}, "x", DType::f64);
  const Tensor plain = made("{type: linear, feature: relu}", kBoth)->forward(x);
  const auto of_span = [&](const char* span) {
    const std::string slot = std::string("{type: linear, feature: cosformer, span: ") + span + "}";
    return made(slot, kBoth)->forward(x);
  };
  EXPECT_LT(relative_distance(of_span("100000000"), plain), 1e-6);
  EXPECT_GT(relative_distance(of_span("12"), plain), 1e-3);
}

TEST(LinearAttentionMechanism, RefusesWhatItCannotDo) {
  const auto message = [](const std::string& slot, AttentionHost host) {
    try {
      made(slot, host);
    } catch (const RequestError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  AttentionHost alibi = kCausal;
  alibi.position = "alibi";
  EXPECT_NE(message("linear", alibi).find("ALiBi"), std::string::npos);
  EXPECT_NE(message("retention", kBoth).find("from the past"), std::string::npos);
  EXPECT_NE(message("{type: linear, feature: cosformer}", kCausal).find("span"), std::string::npos);
  EXPECT_NE(message("{type: linear, feature: identity}", kCausal).find("rms"), std::string::npos);
  const auto mechanism = made("{type: linear, feature: cosformer, span: 4}", kBoth);
  EXPECT_THROW(mechanism->forward(random_tensor({1, 5, 8}, "x", DType::f64)), Error);
}

TEST(LinearAttentionMechanism, BidirectionalModelsHoldThem) {
  const Tensor image = random_tensor({2, 8, 8, 1}, "x", DType::f64);
  const Tensor ids = testing::random_ids({2, 5}, 9, "ids");
  const Tensor lengths = Tensor::from(std::vector<int64_t>{5, 3}, {2});
  for (const char* slot : {"linear", "{type: linear, feature: cosformer}"}) {
    const std::string tail = std::string(", layers: 1, dim: 4, heads: 2, attention: ") + slot + "}";
    const auto vit = "{height: 8, width: 8, channels: 1, patch: 4, classes: 3" + tail;
    EXPECT_EQ(testing::gradcheck_module("vit", "model", parse_yaml(vit, "t"), {{"x", image}}), "");
    const auto encoder = "{vocab: 9, context: 8" + tail;
    EXPECT_EQ(testing::gradcheck_module("encoder", "model", parse_yaml(encoder, "t"),
                                        {{"ids", ids}, {"lengths", lengths}}),
              "");
  }
}

TEST(LinearAttentionMechanism, GptGeneratesWhatTheWholePassSays) {
  for (const std::string& slot : causal_slots()) {
    const ModuleEntry& entry = find_module("gpt", "model");
    const std::unique_ptr<Module> module = entry.make(parse_yaml(
        "{vocab: 11, context: 96, layers: 2, dim: 8, heads: 2, position: rotary, attention: " +
            slot + "}",
        "test"));
    module->initialise(3);
    module->eval();
    auto& model = dynamic_cast<LanguageModel&>(*module);
    const NoGrad none;
    const Tensor ids = testing::random_ids({1, 80}, 11, "ids");
    const Tensor logits = model.forward(ids);
    const auto state = model.start();
    int64_t done = 0;
    for (const int64_t tokens : {70, 1, 1, 8}) {
      const Tensor last = model.decode(views::slice(ids, 1, done, done + tokens), *state);
      done += tokens;
      EXPECT_LT(relative_distance(last, views::select(logits, 1, done - 1)), 2e-5) << slot;
    }
  }
}

}  // namespace
}  // namespace heed::nn
