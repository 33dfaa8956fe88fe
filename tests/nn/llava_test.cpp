#include "nn/models/llava.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/views.h"
#include "tests/core/raises.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::gradcheck_module;
using ::testing::HasSubstr;
using testing::random_ids;
using testing::random_tensor;

constexpr int64_t kImage = 9;  // the token

Config tiny() {
  return parse_yaml(
      "{vocab: 10, context: 12, image_token: 9,"
      " vision: {height: 4, width: 6, channels: 2, patch: 2, layers: 2, dim: 4, heads: 2, hidden: "
      "3},"
      " text: {layers: 2, dim: 4, heads: 2, kv_heads: 1, mlp: swiglu, hidden: 3, norm: rms_norm, "
      "position: rotary, bias: false, tied: false}}",
      "test");
}

std::unique_ptr<Llava> make(DType dtype = DType::f64) {
  auto model = std::make_unique<Llava>(read_llava_options(tiny()));
  model->initialise(3);
  if (dtype != DType::f32) model->convert(dtype);
  testing::randomise(*model);
  model->eval();
  return model;
}

// Six states of an image, in one run or two.
Tensor ids_with_images() {
  return Tensor::from(std::vector<int64_t>{1, 9, 9, 9, 9, 9, 9, 2, 3, 9, 9, 9, 4, 9, 9, 9, 5, 6},
                      {2, 9});
}

Tensor images() { return random_tensor({2, 4, 6, 2}, "images", DType::f64); }

TEST(Llava, GradientEqualsCentralDifferences) {
  EXPECT_EQ(gradcheck_module("llava", "model", tiny(),
                             {{"ids", ids_with_images()},
                              {"images", images()},
                              {"targets", random_ids({2, 9}, 9, "targets")}}),
            "");
  EXPECT_EQ(gradcheck_module("clip_vision", "model",
                             parse_yaml("{height: 4, width: 4, channels: 1, patch: 2, layers: 2, "
                                        "dim: 4, heads: 1, hidden: 3, layer: -1, cls: true}",
                                        "test"),
                             {{"x", random_tensor({2, 4, 4, 1}, "x", DType::f64)}}),
            "");
}

// An image's states stand where its tokens do, whichever rows they are in.
TEST(Llava, ImagesFillTheirTokensInOrder) {
  const auto model = make();
  const Tensor ids = ids_with_images(), both = images();
  const Tensor all = model->forward_with(ids, both);
  const NoGrad no_grad;
  const Tensor states = model->projector.forward(model->vision.forward(both));
  Tensor embedded = Tensor::zeros({2, 9, 4}, DType::f64);
  const std::vector<int64_t> flat = ids.to_vector<int64_t>();
  const std::vector<double> rows = states.to_vector<double>();
  const std::vector<double> table = model->text.embed.weight.to_vector<double>();
  auto* to = embedded.data<double>();
  size_t next = 0;
  for (size_t i = 0; i < flat.size(); ++i) {
    for (size_t c = 0; c < 4; ++c) {
      to[i * 4 + c] =
          flat[i] == kImage ? rows[next * 4 + c] : table[static_cast<size_t>(flat[i]) * 4 + c];
    }
    next += flat[i] == kImage ? 1 : 0;
  }
  EXPECT_EQ(next, 12u);
  EXPECT_EQ(model->text.forward(embedded).to_vector<double>(), all.to_vector<double>());
}

TEST(Llava, DecodesWithACacheAsItReads) {
  const auto model = make();
  const NoGrad no_grad;
  const Tensor row = views::slice(ids_with_images(), 0, 0, 1);
  const Tensor image = views::slice(images(), 0, 0, 1);
  const Tensor all = model->forward_with(row, image);
  const auto state = model->start();
  const auto step = [&](int64_t begin, int64_t end, const Tensor& with) {
    const Tensor ids = views::slice(row, 1, begin, end);
    const Tensor logits =
        with.defined() ? model->decode_with(ids, with, *state) : model->decode(ids, *state);
    const std::vector<double> got = logits.to_vector<double>();
    const std::vector<double> want = views::select(all, 1, end - 1).to_vector<double>();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12);
  };
  step(0, 7, image);
  step(7, 8, {});
  step(8, 9, {});
}

TEST(Llava, ReadsTextAlone) {
  const auto model = make();
  const Tensor ids = random_ids({2, 5}, 9, "ids");
  EXPECT_EQ(model->forward(ids).to_vector<double>(), model->text.forward(ids).to_vector<double>());
}

TEST(Llava, ImagesAndTheirTokensMustAgree) {
  const auto model = make();
  const auto message = [](auto&& work) {
    try {
      work();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message([&] { model->forward(ids_with_images()); }),
              HasSubstr("12 image tokens in the ids, and the images have 0 states (6 each)"));
  EXPECT_THAT(
      message([&] { model->forward_with(ids_with_images(), views::slice(images(), 0, 0, 1)); }),
      HasSubstr("have 6 states"));
  EXPECT_THAT(message([&] { model->vision.forward(views::slice(images(), 1, 0, 2)); }),
              HasSubstr("[B, 4, 6, 2]"));
}

TEST(Llava, WhatLiesBehindItsLayerIsFrozen) {
  const auto model = make();
  for (const auto& named : model->named_tensors()) {
    const bool unused =
        named.name.starts_with("vision.blocks.1.") || named.name.starts_with("vision.norm.");
    EXPECT_EQ(named.frozen, unused) << named.name;
  }
}

// LLaVA-1.5: the decoder's, the tower's and the projector's.
TEST(Llava, HasThePublishedParameters) {
  Config config = parse_yaml(
      "{vocab: 32064, image_token: 32000, text: {context: 4096, layers: 1, dim: 4096, heads: 32, "
      "mlp: swiglu, hidden: 11008, norm: rms_norm, position: rotary, bias: false, tied: false}, "
      "vision: {layers: 1}}",
      "test");
  Llava model(read_llava_options(config));
  EXPECT_EQ(model.projector.parameter_count(), 20979712);
  // A block of the tower: 4 (1024^2 + 1024) + 2 1024 4096 + 5120 + 4 1024.
  EXPECT_EQ(model.vision.blocks[0].parameter_count(), 12596224);
  EXPECT_EQ(model.image_tokens(), 576);
}

TEST(Llava, ConfigsComeBackAsTheyAre) {
  const auto model = make(DType::f32);
  const Config whole = model->config();
  EXPECT_EQ(read_llava_options(whole).text.vocab, 10);
  EXPECT_EQ(Llava(read_llava_options(whole)).config(), whole);
  EXPECT_EQ(make_language_model(whole)->vocab(), 10);
  Config none = tiny();
  none.set("image_token", 10);
  EXPECT_THAT(request_error([&] { Llava other(read_llava_options(none)); }),
              HasSubstr("image_token is 10, and the decoder has 10 ids"));
}

}  // namespace
}  // namespace heed::nn
