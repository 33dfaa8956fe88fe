// Models whose matrices ranks share by their plans.
#include <gtest/gtest.h>

#include "autograd/ops/view.h"
#include "nn/layers/low_rank.h"
#include "nn/models/vit.h"
#include "tests/distributed/split_modules.h"

namespace heed {
namespace {

using testing::expect_close;
using testing::expect_like_whole;
using testing::fill;
using testing::integers;
using testing::normal;
using testing::small_encoder;
using testing::small_gpt;
using testing::split_model;

TEST(SplitModels, DecodersAsInGpt2AndLlama) {
  for (const int64_t kv_heads : {0, 12, 1}) {
    nn::GptOptions o = small_gpt();
    if (kv_heads > 0) {
      o.heads = 24;
      o.head_dim = 4;
      o.kv_heads = kv_heads;
      o.mlp = "swiglu";
      o.hidden = 14;
      o.norm = "rms_norm";
      o.position = "rotary";
      o.bias = o.tied = false;
      o.checkpointing = true;
    }
    const auto make = [&] { return std::make_unique<nn::Gpt>(o); };
    const Tensor ids = integers({3, 8}, 29, "ids");
    Tensor targets = integers({3, 8}, 29, "targets");
    targets.data<int64_t>()[5] = -100;
    expect_like_whole<nn::Gpt>(
        make, split_model<nn::Gpt>, ids,
        [&](nn::Gpt& model, const Tensor& x) { return model.loss(x, targets); });
    expect_like_whole<nn::Gpt>(make, split_model<nn::Gpt>, ids,
                               [](nn::Gpt& model, const Tensor& x) { return model.forward(x); });
    const auto whole = make(), own = make();
    fill(*whole);
    fill(*own);
    split_model(*own);
    whole->eval();
    own->eval();
    expect_close(own->loss_rows(ids, targets), whole->loss_rows(ids, targets), "rows");
    const auto state = whole->start(), own_state = own->start();
    for (int64_t t = 0; t < 3; ++t) {
      const Tensor next = slice(ids, 1, 2 * t, 2 * t + 2);
      expect_close(own->decode(next, *own_state), whole->decode(next, *state), "decode");
    }
  }
}

TEST(SplitModels, UpdatesOfADecoder) {
  nn::GptOptions o = small_gpt();
  o.tied = false;
  o.kv_heads = 1;
  o.head_dim = 4;
  const auto make = [&] {
    auto model = std::make_unique<nn::Gpt>(o);
    model->freeze();
    for (const auto& [path, module] : model->named_modules()) {
      auto* layer = dynamic_cast<nn::Linear*>(module);
      if (layer != nullptr && !layer->lora) layer->adapt({.rank = 2, .dropout = 0.2});
    }
    return model;
  };
  const Tensor ids = integers({3, 8}, 29, "ids"), targets = integers({3, 8}, 29, "targets");
  expect_like_whole<nn::Gpt>(make, split_model<nn::Gpt>, ids, [&](nn::Gpt& model, const Tensor& x) {
    return model.loss(x, targets);
  });
}

TEST(SplitModels, Encoders) {
  for (const bool norm_first : {false, true}) {
    nn::EncoderOptions o = small_encoder(norm_first);
    o.hidden = 18;
    o.token_types = 2;
    o.mlm = true;
    const auto make = [&] { return std::make_unique<nn::Encoder>(o); };
    const Tensor ids = integers({3, 8}, 29, "ids");
    const Tensor some = Tensor::from(std::vector<int64_t>{8, 3, 5}, {3});
    Tensor targets = integers({3, 8}, 29, "targets");
    for (const int64_t i : {0, 7, 8, 13}) targets.data<int64_t>()[i] = -100;
    // A head that is not used has no gradient on either side.
    const Tensor weight = normal({3, 5}, "logits");
    expect_like_whole<nn::Encoder>(
        make, split_model<nn::Encoder>, ids, [&](nn::Encoder& model, const Tensor& x) {
          return add(model.mlm_loss(x, targets, some), sum(mul(model.forward(x, some), weight)));
        });
    expect_like_whole<nn::Encoder>(make, split_model<nn::Encoder>, ids,
                                   [&](nn::Encoder& model, const Tensor& x) {
                                     const Tensor states = model.features(x, some);
                                     return concat({reshape(model.mlm_logits(states), {3, -1}),
                                                    model.classify(model.pooled(states, some))},
                                                   1);
                                   });
  }
}

TEST(SplitModels, VisionTransformers) {
  for (const char* pool : {"cls", "mean"}) {
    nn::VitOptions o;
    o.height = o.width = 8;
    o.classes = 5;
    o.layers = 2;
    o.dim = 24;
    o.heads = 12;
    o.hidden = 18;
    o.pool = pool;
    o.dropout = o.attention_dropout = o.drop_path = 0.2;
    o.layer_scale = 0.5;
    if (o.pool == "mean") o.attention = parse_yaml("{type: neighborhood, window: 1}", "slot");
    expect_like_whole<nn::Vit>([&] { return std::make_unique<nn::Vit>(o); }, split_model<nn::Vit>,
                               normal({2, 8, 8, 3}, "images"),
                               [](nn::Vit& model, const Tensor& x) { return model.forward(x); });
  }
}

}  // namespace
}  // namespace heed
