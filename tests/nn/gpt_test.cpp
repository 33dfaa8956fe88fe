#include "nn/models/gpt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops/loss.h"
#include "autograd/ops/reduce.h"
#include "core/parallel.h"
#include "core/views.h"
#include "nn/attention/paged_kv_cache.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::random_ids;
using testing::relative_distance;

GptOptions gpt2_style() {
  GptOptions o;
  o.vocab = 37;
  o.context = 24;
  o.layers = 3;
  o.dim = 24;
  o.heads = 3;
  o.mlp = "gelu_tanh";
  return o;
}

GptOptions llama_style() {
  GptOptions o = gpt2_style();
  o.heads = 4;
  o.kv_heads = 2;
  o.head_dim = 8;
  o.mlp = "swiglu";
  o.hidden = 40;
  o.norm = "rms_norm";
  o.position = "rotary";
  o.bias = false;
  o.qk_norm = true;
  o.tied = false;
  return o;
}

GptOptions with_position(const std::string& position) {
  GptOptions o = gpt2_style();
  o.position = position;
  return o;
}

// GPT-NeoX: two branches side by side, some features of a head rotated; and mechanisms in turn.
GptOptions neox_style() {
  GptOptions o = gpt2_style();
  o.layers = 3;
  o.heads = 3;
  o.position = "rotary";
  o.rotary_dim = 2;
  o.parallel_residual = true;
  o.tied = false;
  o.attentions = {{.layers = 2, .attention = parse_yaml("softmax", "test")},
                  {.attention = parse_yaml("{type: window, window: 5}", "test")}};
  return o;
}

std::vector<std::pair<std::string, GptOptions>> styles() {
  return {{"gpt2", gpt2_style()},
          {"llama", llama_style()},
          {"sinusoidal", with_position("sinusoidal")},
          {"alibi", with_position("alibi")},
          {"none", with_position("none")},
          {"neox", neox_style()}};
}

std::unique_ptr<Gpt> make(const GptOptions& options, DType dtype = DType::f32) {
  auto gpt = std::make_unique<Gpt>(options);
  gpt->initialise(11);
  if (dtype == DType::f64) gpt->convert(DType::f64);
  return gpt;
}

// Each preset's parameters as published (the weights on the Hugging Face hub; tied ones once).
TEST(Gpt, PresetsHaveThePublishedParameterCounts) {
  const std::map<std::string, int64_t> published = {
      {"gpt2", 124439808},        {"gpt2-medium", 354823168},     {"gpt2-large", 774030080},
      {"gpt2-xl", 1557611200},    {"llama-tiny", 15191712},       {"smollm-135m", 134515008},
      {"qwen3-0.6b", 596049920},  {"tinyllama-1.1b", 1100048384}, {"pythia-160m", 162322944},
      {"pythia-410m", 405334016}, {"pythia-1b", 1011781632},      {"llama-3-8b", 8030261248},
      {"mistral-7b", 7241732096}, {"qwen2-7b", 7615616512}};
  for (const std::string& name : gpt_presets()) {
    ASSERT_TRUE(published.contains(name)) << name;
    EXPECT_EQ(Gpt(gpt_preset(name)).parameter_count(), published.at(name)) << name;
  }
}

TEST(Gpt, NamesReadWell) {
  std::vector<std::string> names;
  GptOptions options = gpt2_style();
  options.layers = 1;
  options.tied = false;
  Gpt gpt(options);
  for (const auto& [name, tensor] : state_dict(gpt)) names.push_back(name);
  EXPECT_THAT(names,
              ::testing::ElementsAre(
                  "embed.weight", "position.weight", "blocks.0.norm1.weight", "blocks.0.norm1.bias",
                  "blocks.0.attn.qkv.weight", "blocks.0.attn.qkv.bias", "blocks.0.attn.out.weight",
                  "blocks.0.attn.out.bias", "blocks.0.norm2.weight", "blocks.0.norm2.bias",
                  "blocks.0.mlp.up.weight", "blocks.0.mlp.up.bias", "blocks.0.mlp.down.weight",
                  "blocks.0.mlp.down.bias", "norm.weight", "norm.bias", "head.weight"));
}

TEST(Gpt, StartsAsGpt2Does) {
  GptOptions options = gpt2_style();
  options.dim = 96;
  options.layers = 2;
  const auto gpt = make(options);
  const auto deviation = [](const Tensor& t) {
    double square = 0.0;
    const std::vector<double> values = t.to_vector<double>();
    for (const double v : values) square += v * v / static_cast<double>(values.size());
    return std::sqrt(square);
  };
  // 96 x 96 draws and more: five standard errors are 5 / sqrt(2 * 9216) = 3.7%.
  EXPECT_NEAR(deviation(gpt->blocks[0].mlp->named_parameters()[0].tensor->detach()), 0.02,
              0.02 * 0.037);
  for (const auto& [name, tensor] : state_dict(*gpt)) {
    if (name.ends_with("attn.out.weight") || name.ends_with("mlp.down.weight")) {
      EXPECT_NEAR(deviation(tensor), 0.01, 0.01 * 0.037) << name;  // 0.02 / sqrt(2 x 2 layers)
    } else if (name.ends_with("bias")) {
      EXPECT_EQ(deviation(tensor), 0.0) << name;
    }
  }
}

TEST(Gpt, GradientEqualsCentralDifferences) {
  const Tensor ids = random_ids({2, 3}, 5, "ids"), targets = random_ids({2, 3}, 5, "targets");
  for (const char* config :
       {"{vocab: 5, context: 3, layers: 2, dim: 4, heads: 2, hidden: 3}",
        "{vocab: 5, context: 3, layers: 1, dim: 4, heads: 2, kv_heads: 1, mlp: swiglu, hidden: 3, "
        "norm: rms_norm, position: rotary, bias: false, tied: false, qk_norm: true}",
        "{vocab: 5, context: 3, layers: 1, dim: 4, heads: 1, hidden: 3, position: alibi, "
        "checkpointing: true}",
        "{vocab: 5, context: 3, layers: 1, dim: 4, heads: 2, hidden: 3, position: sinusoidal}",
        "{vocab: 5, context: 3, layers: 2, dim: 8, heads: 2, hidden: 3, position: rotary, "
        "rotary_dim: 2, parallel_residual: true}"}) {
    EXPECT_EQ(testing::gradcheck_module("gpt", "model", parse_yaml(config, "test"),
                                        {{"ids", ids}, {"targets", targets}}),
              "")
        << config;
  }
}

TEST(Gpt, LossIsTheCrossEntropyOfItsLogits) {
  for (const auto& [name, options] : styles()) {
    const auto gpt = make(options, DType::f64);
    const Tensor ids = random_ids({2, 11}, 37, "ids"), targets = random_ids({2, 11}, 37, "targets");
    const double expected = cross_entropy(gpt->forward(ids), targets).item();
    EXPECT_NEAR(gpt->loss(ids, targets).item(), expected, 1e-12 * expected) << name;
    const std::vector<double> rows = gpt->loss_rows(ids, targets).to_vector<double>();
    double mean = 0.0;
    for (const double row : rows) mean += row / static_cast<double>(rows.size());
    EXPECT_NEAR(mean, expected, 1e-6 * expected) << name;  // rows are f32
  }
}

TEST(Gpt, EarlierLogitsDoNotSeeLaterTokens) {
  for (const auto& [name, options] : styles()) {
    const auto gpt = make(options);
    const Tensor ids = random_ids({1, 13}, 37, "ids");
    const Tensor before = gpt->forward(ids);
    for (const int64_t changed : {1, 6, 12}) {
      Tensor other = Tensor::from(ids.to_vector<int64_t>(), {1, 13});
      other.data<int64_t>()[changed] = (other.data<int64_t>()[changed] + 1) % 37;
      const Tensor after = gpt->forward(other);
      EXPECT_TRUE(
          bitwise_equal(views::slice(before, 1, 0, changed), views::slice(after, 1, 0, changed)))
          << name << " " << changed;
      EXPECT_FALSE(
          bitwise_equal(views::select(before, 1, changed), views::select(after, 1, changed)))
          << name << " " << changed;
    }
  }
}

TEST(Gpt, DecodingWithTheCacheEqualsTheWholeForward) {
  auto all = styles();
  for (auto [name, options] : styles()) {
    options.cache_page = 3;
    all.emplace_back(name + " in pages", options);
  }
  for (const auto& [name, options] : all) {
    const auto gpt = make(options, DType::f64);
    gpt->eval();
    const Tensor ids = random_ids({2, 20}, 37, "ids");
    const NoGrad no_grad;
    const Tensor whole = gpt->forward(ids);
    const auto state = gpt->start();
    EXPECT_EQ(dynamic_cast<PagedKvCache*>(state.get()) != nullptr, options.cache_page > 0) << name;
    int64_t seen = 0;
    for (const int64_t chunk : {7, 1, 1, 4, 1, 6}) {
      const Tensor logits = gpt->decode(views::slice(ids, 1, seen, seen + chunk), *state);
      seen += chunk;
      ASSERT_EQ(state->length(), seen);
      // The same sums in another order: some thousand roundings of f64.
      EXPECT_LT(relative_distance(logits, views::select(whole, 1, seen - 1)), 1e-12)
          << name << " after " << seen;
    }
  }
}

TEST(Gpt, GreedyTokensAreTheSameWithAndWithoutTheCache) {
  for (const auto& [name, options] : styles()) {
    const auto gpt = make(options);
    gpt->eval();
    const NoGrad no_grad;
    std::vector<int64_t> cached{3, 1, 4}, plain{3, 1, 4};
    const auto state = gpt->start();
    Tensor logits = gpt->decode(Tensor::from(cached, {1, 3}), *state);
    while (cached.size() < 24) {
      cached.push_back(argmax(logits, -1).to_vector<int64_t>()[0]);
      logits = gpt->decode(Tensor::from(std::vector{cached.back()}, {1, 1}), *state);
      const auto length = static_cast<int64_t>(plain.size());
      const Tensor all = gpt->forward(Tensor::from(plain, {1, length}));
      plain.push_back(argmax(views::select(all, 1, length - 1), -1).to_vector<int64_t>()[0]);
    }
    EXPECT_EQ(cached, plain) << name;
  }
}

TEST(Gpt, LearnedPositionsEndAtTheContext) {
  const auto gpt = make(gpt2_style());
  EXPECT_THROW(gpt->forward(random_ids({1, 25}, 37, "ids")), Error);
  EXPECT_FALSE(gpt->extrapolates());
  const auto rotary = make(llama_style());
  EXPECT_EQ(rotary->forward(random_ids({1, 25}, 37, "ids")).size(1), 25);
  EXPECT_TRUE(rotary->extrapolates());
}

std::map<std::string, Tensor> gradients(Gpt& gpt, const Tensor& ids, const Tensor& targets) {
  for (const auto& p : gpt.named_parameters()) clear_grad(*p.tensor);
  backward(gpt.loss(ids, targets));
  std::map<std::string, Tensor> result;
  for (const auto& p : gpt.named_parameters()) result[p.name] = grad(*p.tensor);
  return result;
}

TEST(Gpt, CheckpointingChangesNoGradientBit) {
  for (auto [name, options] : styles()) {
    options.dropout = 0.2;
    options.mlp_dropout = 0.1;
    const auto plain = make(options);
    options.checkpointing = true;
    const auto recomputed = make(options);
    const Tensor ids = random_ids({2, 9}, 37, "ids"), targets = random_ids({2, 9}, 37, "targets");
    random_context() = {.seed = 5, .step = 3};
    const auto a = gradients(*plain, ids, targets), b = gradients(*recomputed, ids, targets);
    random_context() = {};
    for (const auto& [parameter, gradient] : a) {
      EXPECT_TRUE(bitwise_equal(gradient, b.at(parameter))) << name << " " << parameter;
    }
  }
}

TEST(Gpt, GradientsDoNotDependOnTheThreadCount) {
  const int threads = thread_count();
  for (auto [name, options] : styles()) {
    options.dropout = 0.1;
    const auto gpt = make(options);
    const Tensor ids = random_ids({3, 23}, 37, "ids"), targets = random_ids({3, 23}, 37, "targets");
    set_thread_count(1);
    const auto one = gradients(*gpt, ids, targets);
    set_thread_count(3);
    const auto three = gradients(*gpt, ids, targets);
    set_thread_count(threads);
    for (const auto& [parameter, gradient] : one) {
      EXPECT_TRUE(bitwise_equal(gradient, three.at(parameter))) << name << " " << parameter;
    }
  }
}

TEST(Gpt, TiedWeightsCollectTheGradientOfBothUses) {
  GptOptions options = gpt2_style();
  const auto tied = make(options, DType::f64);
  options.tied = false;
  const auto untied = make(options, DType::f64);
  auto state = state_dict(*tied);
  state.emplace_back("head.weight", tied->embed.weight.detach());
  load_state_dict(*untied, state);
  const Tensor ids = random_ids({2, 9}, 37, "ids"), targets = random_ids({2, 9}, 37, "targets");
  const auto one = gradients(*tied, ids, targets), two = gradients(*untied, ids, targets);
  EXPECT_EQ(one.size() + 1, two.size());
  const std::vector<double> whole = one.at("embed.weight").to_vector<double>(),
                            in = two.at("embed.weight").to_vector<double>(),
                            out = two.at("head.weight").to_vector<double>();
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(whole[i], in[i] + out[i], 1e-14);
}

TEST(Gpt, DropoutRepeatsWithinAStepAndChangesWithIt) {
  GptOptions options = gpt2_style();
  options.dropout = 0.2;
  const auto gpt = make(options);
  const Tensor ids = random_ids({2, 9}, 37, "ids");
  random_context() = {.seed = 5, .step = 3};
  const Tensor first = gpt->forward(ids);
  EXPECT_TRUE(bitwise_equal(first, gpt->forward(ids)));
  random_context().step = 4;
  EXPECT_FALSE(bitwise_equal(first, gpt->forward(ids)));
  gpt->eval();
  const Tensor evaluated = gpt->forward(ids);
  random_context() = {};
  EXPECT_TRUE(bitwise_equal(evaluated, gpt->forward(ids)));
}

TEST(Gpt, DropoutsAreSetTogetherOrOneByOne) {
  GptOptions options = gpt2_style();
  options.dropout = 0.2;
  options.residual_dropout = 0.0;
  Gpt gpt(options);
  EXPECT_EQ(gpt.dropout.p, 0.2);
  EXPECT_EQ(gpt.blocks[0].attn_dropout.p, 0.0);
}

// bf16 keeps 8 bits. Each of the 2 x 3 additions to the stream and the layers around them rounds a
// few times; errors of independent roundings add up as a square root, so 16 half-ulps is ample.
TEST(Gpt, Bf16IsCloseToF32) {
  for (const auto& [name, options] : styles()) {
    const auto gpt = make(options);
    const Tensor ids = random_ids({2, 9}, 37, "ids"), targets = random_ids({2, 9}, 37, "targets");
    const Tensor wide = gpt->forward(ids);
    const double loss = gpt->loss(ids, targets).item();
    const auto expected = gradients(*gpt, ids, targets);
    gpt->compute_in(DType::bf16);
    const Tensor narrow = gpt->forward(ids);
    EXPECT_EQ(narrow.dtype(), DType::bf16);
    EXPECT_LT(relative_distance(narrow, wide), 16 * 0x1p-9) << name;
    EXPECT_NEAR(gpt->loss(ids, targets).item(), loss, loss * 16 * 0x1p-9) << name;
    const auto got = gradients(*gpt, ids, targets);
    for (const auto& [parameter, gradient] : expected) {
      EXPECT_EQ(got.at(parameter).dtype(), DType::f32);
      // A k bias shifts all scores of a query alike: its gradient is rounding alone.
      if (parameter.ends_with("qkv.bias")) continue;
      EXPECT_LT(relative_distance(got.at(parameter), gradient), 32 * 0x1p-9)
          << name << " " << parameter;
    }
  }
}

TEST(Gpt, CountsItsOperations) {
  const auto gpt = make(gpt2_style());
  const double matrices = 3 * (4 * 24 * 24 + 2 * 24 * 96) + 37 * 24;
  const double pairs = (10 + 1) / 2.0;  // keys a query sees on average
  EXPECT_DOUBLE_EQ(gpt->flops_per_token(10), 2 * matrices + 3 * 4 * pairs * 24);
}

TEST(Gpt, GivesBackItsConfiguration) {
  for (const auto& [name, options] : styles()) {
    const Gpt gpt(options);
    const Config config = gpt.config();
    EXPECT_EQ(config.at("type"), Config("gpt"));
    EXPECT_EQ(make_language_model(config)->config(), config) << name;
  }
}

}  // namespace
}  // namespace heed::nn
