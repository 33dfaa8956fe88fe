#include "nn/models/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops/loss.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "nn/models/gpt.h"
#include "nn/models/vit.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using ::testing::HasSubstr;
using testing::random_ids;
using testing::random_tensor;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

template <class Fn>
std::string message_of(const Fn& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

constexpr const char* kSmall =
    "{vocab: 19, context: 7, layers: 2, dim: 8, heads: 2, hidden: 12, norm_eps: 1e-5, token_types: "
    "2, classes: 3, mlm: true, dropout: 0.2, attention_dropout: 0.2, ";

// Both start from embeddings too small to be seen beside the waves.
TEST(Sinusoids, StandBesideScaledEmbeddingsInEveryTextModel) {
  const std::string options = "{vocab: 19, layers: 1, dim: 16, heads: 2, position: sinusoidal}";
  EXPECT_EQ(Encoder(read_encoder_options(yaml(options))).sinusoidal->scale, 4.0);
  EXPECT_EQ(Gpt(read_gpt_options(yaml(options))).sinusoidal->scale, 4.0);
}

Inputs sentences() {
  return {{"ids", random_ids({3, 6}, 19, "ids")},
          {"lengths", Tensor::from(std::vector<int64_t>{6, 2, 4}, {3})},
          {"token_types", random_ids({3, 6}, 2, "types")}};
}

int64_t count_of(const char* name, const char* config) {
  return find_module(name, "model").make(yaml(config))->parameter_count();
}

TEST(Encoder, GradientsAgreeWithDifferences) {
  EXPECT_EQ(gradcheck_module("encoder", "model", yaml(std::string(kSmall) + "pool: cls}"),
                             sentences(), true),
            "");
  EXPECT_EQ(gradcheck_module("encoder", "model",
                             yaml(std::string(kSmall) +
                                  "pool: mean, norm_first: true, position: rotary, pooler: false, "
                                  "checkpointing: true, norm: rms_norm, mlp: swiglu}"),
                             sentences()),
            "");
}

TEST(Encoder, PositionsMayBeginBehindTheRowsOfPadding) {
  Encoder plain(read_encoder_options(yaml(std::string(kSmall) + "}")));
  Encoder moved(read_encoder_options(yaml(std::string(kSmall) + "position_offset: 2}")));
  plain.initialise(1);
  moved.initialise(2);
  auto state = state_dict(plain);
  for (auto& [name, tensor] : state) {
    if (name != "position.weight") continue;
    Tensor longer = Tensor::full({9, 8}, 1e9);  // the first two rows are of no token
    kernels::copy(tensor, views::slice(longer, 0, 2, 9));
    tensor = longer;
  }
  load_state_dict(moved, state);
  plain.eval();
  moved.eval();
  const Tensor ids = random_ids({3, 7}, 19, "ids");
  EXPECT_TRUE(bitwise_equal(plain.features(ids), moved.features(ids)));
}

// The counts of the published checkpoints: BertModel of transformers for google's
// bert_uncased_L-2_H-128_A-2 and bert-base/large-uncased, and all-MiniLM-L6-v2 less its unused
// pooler.
TEST(Encoder, PublishedSizes) {
  EXPECT_EQ(count_of("encoder", "{preset: bert-tiny}"), 4385920);
  EXPECT_EQ(count_of("encoder", "{preset: bert-base}"), 109482240);
  EXPECT_EQ(count_of("encoder", "{preset: bert-base, pooler: false, mlm: true}"), 109514298);
  EXPECT_EQ(count_of("encoder", "{preset: bert-large}"), 335141888);
  EXPECT_EQ(count_of("encoder", "{preset: minilm-l6}"), 22713216 - (384 * 384 + 384));
}

TEST(Encoder, PaddingHasNoInfluence) {
  const auto model =
      make_classifier(yaml("{type: encoder, layers: 2, dim: 16, heads: 2, hidden: 32, pool: mean}"),
                      4, ClassifierInput::tokens(50, 12));
  model->initialise(3);
  model->eval();
  const NoGrad no_grad;
  const Tensor lengths = Tensor::from(std::vector<int64_t>{5, 12}, {2});
  Tensor ids = random_ids({2, 12}, 50, "ids");
  const Tensor logits = model->forward(ids, lengths);
  EXPECT_EQ(logits.shape(), (Shape{2, 4}));
  ids.data<int64_t>()[7] = 1 + ids.data<int64_t>()[7] % 49;
  EXPECT_TRUE(bitwise_equal(model->forward(ids, lengths), logits));
  ids.data<int64_t>()[4] = (1 + ids.data<int64_t>()[4]) % 50;
  EXPECT_FALSE(bitwise_equal(model->forward(ids, lengths), logits));
  // A row alone, without padding, gives the same: some sums are taken in another order.
  Tensor alone = Tensor::empty({1, 5}, DType::i64);
  std::copy_n(ids.data<int64_t>(), 5, alone.data<int64_t>());
  const Tensor both = model->forward(ids, lengths);
  Tensor first = Tensor::empty({1, 4});
  std::copy_n(both.data<float>(), 4, first.data<float>());
  // Two blocks, each a chain of some four sums of up to 32 terms.
  EXPECT_LT(relative_distance(first, model->forward(alone)), 8 * 8 * std::sqrt(32.0) * 0x1p-24);
}

TEST(Encoder, SaysWhatIsMissing) {
  EXPECT_THAT(message_of([] { Encoder(EncoderOptions{}); }), HasSubstr("vocab"));
  Encoder model(read_encoder_options(
      yaml("{vocab: 9, context: 4, layers: 1, dim: 4, heads: 1, attention: softmax}")));
  model.initialise(1);
  const Tensor ids = random_ids({2, 4}, 9, "ids");
  EXPECT_THAT(message_of([&] { model.forward(ids); }), HasSubstr("classes"));
  EXPECT_THAT(message_of([&] { model.mlm_logits(model.features(ids)); }), HasSubstr("mlm"));
  EXPECT_THAT(message_of([&] { model.features(ids, {}, ids); }), HasSubstr("token types"));
  EXPECT_THAT(message_of([&] {
                model.features(random_ids({1, 5}, 9, "i"));
              }),
              HasSubstr("context of 4"));
  EXPECT_THAT(message_of([&] {
                model.features(ids, Tensor::from(std::vector<int64_t>{5, 1}, {2}));
              }),
              HasSubstr("lengths"));
}

TEST(Encoder, MaskedLossIsThatOfItsLogits) {
  Encoder model(read_encoder_options(
      yaml("{vocab: 23, context: 9, layers: 1, dim: 8, heads: 2, mlm: true, pooler: false}")));
  model.initialise(4);
  model.eval();
  const Tensor ids = random_ids({2, 9}, 23, "ids"), targets = random_ids({2, 9}, 23, "targets");
  const Tensor logits = model.mlm_logits(model.features(ids));
  EXPECT_NEAR(model.mlm_loss(ids, targets).item(), cross_entropy(logits, targets).item(), 1e-5);
}

TEST(Vit, GradientsAgreeWithDifferences) {
  const Inputs images{{"x", random_tensor({2, 4, 6, 2}, "x", DType::f64)}};
  const std::string small =
      "{height: 4, width: 6, channels: 2, classes: 3, patch: 2, layers: 2, dim: 6, heads: 1, "
      "hidden: 8, ";
  EXPECT_EQ(gradcheck_module("vit", "model",
                             yaml(small + "dropout: 0.1, drop_path: 0.4, layer_scale: 0.5}"),
                             images, true),
            "");
  EXPECT_EQ(
      gradcheck_module("vit", "model",
                       yaml(small + "pool: mean, position: rotary, checkpointing: true}"), images),
      "");
}

// arXiv 2012.12877, table 1, to the last digit as in timm's and torchvision's checkpoints
// (deit_tiny/small/base_patch16_224, vit_b_16, vit_l_16).
TEST(Vit, RegistersAreTokensThatAreNotReadOut) {
  const std::string options = "{height: 8, width: 8, patch: 4, classes: 3, dim: 8, heads: 2, ";
  Vit plain(read_vit_options(yaml(options + "layers: 1}")));
  Vit three(read_vit_options(yaml(options + "layers: 1, registers: 3}")));
  EXPECT_EQ(three.parameter_count(), plain.parameter_count() + 2 * 3 * 8);  // with their positions
  three.initialise(1);
  three.eval();
  const Tensor image = random_tensor({2, 8, 8, 3}, "image");
  EXPECT_EQ(three.features(image).shape(), (Shape{2, 1 + 3 + 4, 8}));
  const auto before = three.forward(image).to_vector<float>();
  kernels::fill(three.registers, 5.0);
  EXPECT_NE(three.forward(image).to_vector<float>(), before);  // but the class token sees them
  EXPECT_THAT(message_of([&] { read_vit_options(yaml(options + "registers: 1, pool: mean}")); }),
              HasSubstr("class token"));
}

TEST(Vit, PublishedSizes) {
  EXPECT_EQ(count_of("vit", "{preset: deit-tiny}"), 5717416);
  EXPECT_EQ(count_of("vit", "{preset: deit-small}"), 22050664);
  EXPECT_EQ(count_of("vit", "{preset: deit-base}"), 86567656);
  EXPECT_EQ(count_of("vit", "{preset: vit-large}"), 304326632);
}

TEST(Vit, TakesItsGeometryFromTheData) {
  const ClassifierInput cifar = ClassifierInput::images(32, 32, 3);
  const auto model =
      make_classifier(yaml("{type: vit, preset: deit-tiny, patch: 4, layers: 1}"), 10, cifar);
  EXPECT_EQ(model->classes(), 10);
  EXPECT_EQ(model->input().height, 32);
  model->initialise(1);
  model->eval();
  const NoGrad no_grad;
  EXPECT_EQ(model->forward(random_tensor({2, 32, 32, 3}, "x")).shape(), (Shape{2, 10}));
  const auto same = make_classifier(model->config());
  EXPECT_EQ(same->config(), model->config());
  EXPECT_EQ(same->parameter_count(), model->parameter_count());
  // 64 patches and the class token: projections, scores, mixing, feed-forward.
  const double block = 65.0 * (2 * 12 * 192 * 192) + 4.0 * 65 * 65 * 192;
  EXPECT_DOUBLE_EQ(model->flops(), block + 64.0 * 2 * 48 * 192 + 2 * 192 * 10);
}

TEST(ClassifierFactory, RefusesWhatCannotBe) {
  const ClassifierInput cifar = ClassifierInput::images(32, 32, 3);
  const auto refusal = [&](const char* config, const ClassifierInput& input) {
    return message_of([&] { make_classifier(yaml(config), 10, input); });
  };
  EXPECT_THAT(refusal("{type: vit, classes: 5}", cifar),
              ::testing::AllOf(HasSubstr("test.yaml:1:22"), HasSubstr("the data has 10")));
  EXPECT_THAT(refusal("{type: vit, height: 28}", cifar), HasSubstr("height is 28"));
  EXPECT_THAT(refusal("{type: vit, patch: 5}", cifar), HasSubstr("do not tile"));
  EXPECT_THAT(refusal("{type: encoder}", cifar), HasSubstr("does not classify images"));
  EXPECT_THAT(refusal("{type: vit}", ClassifierInput::tokens(9, 9)),
              HasSubstr("does not classify tokens"));
  EXPECT_THAT(message_of([] { make_classifier(yaml("{type: gpt, vocab: 9}")); }),
              HasSubstr("not a classifier"));
  EXPECT_THAT(message_of([] { make_classifier(yaml("{classes: 3}")); }), HasSubstr("`type`"));
}

}  // namespace
}  // namespace heed::nn
