// Models whose ranks share the tokens between the regions of shared matrices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops/view.h"
#include "nn/models/vit.h"
#include "tests/core/raises.h"
#include "tests/distributed/split_modules.h"

namespace heed {
namespace {

using testing::expect_close;
using testing::expect_like_whole;
using testing::fill;
using ::testing::HasSubstr;
using testing::integers;
using testing::normal;
using testing::small_encoder;
using testing::small_gpt;

// Norms, dropout and residual stream with each rank's tokens alone.
template <class M>
void expect_shared_tokens(const std::function<std::unique_ptr<M>()>& make, const Tensor& input,
                          const std::function<Tensor(M&, const Tensor&)>& run) {
  expect_like_whole<M>(
      make, [](M& model) { split_tensors(model, world(), split_plan(model), true); }, input, run);
}

TEST(SharedTokens, TokensBetweenTheRegionsAreShared) {
  for (const bool checkpointing : {false, true}) {
    nn::GptOptions o = small_gpt();
    o.context = 12;
    o.checkpointing = checkpointing;
    const auto make = [&] { return std::make_unique<nn::Gpt>(o); };
    const Tensor ids = integers({3, 12}, 29, "ids"), targets = integers({3, 12}, 29, "targets");
    expect_shared_tokens<nn::Gpt>(
        make, ids, [&](nn::Gpt& model, const Tensor& x) { return model.loss(x, targets); });
    // Whoever generates has all tokens.
    const auto whole = make(), own = make();
    fill(*whole);
    fill(*own);
    split_tensors(*own, world(), split_plan(*own), true);
    whole->eval();
    own->eval();
    const auto state = whole->start(), own_state = own->start();
    for (int64_t t = 0; t < 5; ++t) {
      const Tensor next = slice(ids, 1, t, t + 1);
      expect_close(own->decode(next, *own_state), whole->decode(next, *state), "decode");
    }
  }
  for (const bool norm_first : {false, true}) {
    nn::EncoderOptions o = small_encoder(norm_first);
    o.context = 12;
    const Tensor lengths = Tensor::from(std::vector<int64_t>{12, 7, 1}, {3});
    expect_shared_tokens<nn::Encoder>(
        [&] { return std::make_unique<nn::Encoder>(o); }, integers({3, 12}, 29, "ids"),
        [&](nn::Encoder& model, const Tensor& x) { return model.forward(x, lengths); });
  }
  nn::VitOptions o;
  o.height = 12;
  o.width = 16;
  o.classes = 5;
  o.layers = 2;
  o.dim = 24;
  o.heads = 12;
  o.pool = "mean";
  o.dropout = o.attention_dropout = o.drop_path = 0.2;
  o.layer_scale = 0.5;
  expect_shared_tokens<nn::Vit>([&] { return std::make_unique<nn::Vit>(o); },
                                normal({2, 12, 16, 3}, "images"),
                                [](nn::Vit& model, const Tensor& x) { return model.forward(x); });
}

// CCT: tokens of convolutions, the norm in the stream's place, pooling by attention; and a
// mechanism with a shortcut of its own.
TEST(SharedTokens, CompactTransformersShareTokens) {
  for (const char* slot : {"{type: softmax}", "{type: large_kernel}"}) {
    nn::VitOptions o = nn::read_vit_options(parse_yaml("{preset: cct-2-3x2, height: 24}", "model"));
    o.dim = 24;
    o.heads = 12;
    o.hidden = 18;
    o.drop_path = 0.2;
    o.attention_dropout = 0.0;
    o.attention = parse_yaml(slot, "slot");
    expect_shared_tokens<nn::Vit>([&] { return std::make_unique<nn::Vit>(o); },
                                  normal({2, 24, 32, 3}, "images"),
                                  [](nn::Vit& model, const Tensor& x) { return model.forward(x); });
  }
}

TEST(SharedTokens, TokensThatDoNotShareOutAreRefused) {
  nn::GptOptions o = small_gpt();
  o.context = 12;  // these would
  nn::Gpt model(o);
  model.initialise(1);
  split_tensors(model, world(), split_plan(model), true);
  const Tensor ids = Tensor::zeros({1, 7}, DType::i64);
  EXPECT_THAT(request_error([&] { model.loss(ids, ids); }),
              HasSubstr(fmt::format("{} ranks cannot share 7 tokens", world().size())));
}

}  // namespace
}  // namespace heed
