// Layers and models whose matrices ranks share against the whole ones, in f64: results, gradients
// of inputs and of parameters, dropout included.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "distributed/state.h"
#include "distributed/tensor_parallel.h"
#include "distributed/world.h"
#include "kernels/copy/copy.h"
#include "nn/attention/registry.h"
#include "nn/layers/conv_mlp.h"
#include "nn/layers/embedding.h"
#include "nn/layers/low_rank.h"
#include "nn/layers/mlp.h"
#include "nn/layers/swiglu.h"
#include "nn/models/encoder.h"
#include "nn/models/gpt.h"
#include "nn/models/vit.h"
#include "tests/core/raises.h"
#include "tests/samples.h"

namespace heed {
namespace {

using ::testing::HasSubstr;
using testing::integers;
using testing::normal;

// Of the largest value: f64 over sums of some hundred terms.
constexpr double kF64 = 1e-12;

void expect_close(const Tensor& got, const Tensor& want, const std::string& name) {
  ASSERT_EQ(got.shape(), want.shape()) << name;
  const std::vector<double> x = got.to_vector<double>(), y = want.to_vector<double>();
  double largest = 0.0, difference = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::abs(y[i]));
    difference = std::max(difference, std::abs(x[i] - y[i]));
  }
  EXPECT_LE(difference, kF64 * std::max(largest, 1.0)) << name;
}

Tensor summed(const Tensor& x) {
  const Tensor sum = kernels::contiguous(add(x.detach(), 0.0));
  world().all_reduce(sum);
  return sum;
}

// Values that no initialisation leaves at zero.
void fill(nn::Module& module) {
  module.assign_paths();
  module.convert(DType::f64);
  for (const auto& named : module.named_tensors()) {
    kernels::copy(mul(normal(named.tensor->shape(), named.name), 0.3), *named.tensor);
  }
}

// Gradient of each parameter by name.
std::map<std::string, Tensor> gradients(nn::Module& module) {
  std::map<std::string, Tensor> found;
  for (const auto& named : module.named_parameters()) found[named.name] = grad(*named.tensor);
  return found;
}

// `run` computes the result from a module and the input. The losses of the ranks, sum(result
// weight) / ranks each, add up to that of the whole. `part` says which part of the result is a
// rank's (null: it is whole). An input of integers has no gradient.
template <class M>
void expect_like_whole(const std::function<std::unique_ptr<M>()>& make,
                       const std::function<void(M&)>& split, const Tensor& input,
                       const std::function<Tensor(M&, const Tensor&)>& run,
                       const std::function<Tensor(const Tensor&)>& part = {}) {
  random_context() = {.seed = 5, .step = 3, .part = 0};
  const auto whole = make(), own = make();
  fill(*whole);
  fill(*own);
  split(*own);

  const bool floating = is_floating(input.dtype());
  Tensor x = input, u = input;
  if (floating) {
    for (Tensor* leaf : {&x, &u}) require_grad(*leaf = mul(input, 1.0));
  }
  const Tensor y = run(*whole, x), v = run(*own, u);
  expect_close(v, part ? part(y.detach()) : y, "result");
  const Tensor weight = normal(y.shape(), "weight");
  backward(sum(mul(y, weight)));
  // A part reaches the loss once, a whole result on each rank.
  backward(sum(mul(v, part ? part(weight) : mul(weight, 1.0 / world().size()))));

  if (floating) expect_close(summed(grad(u)), grad(x), "input");
  const std::map<std::string, Tensor> want = gradients(*whole);
  int shards = 0;
  for (const auto& named : own->named_parameters()) {
    Tensor got = grad(*named.tensor);
    if (!got.defined()) got = Tensor::zeros(named.tensor->shape(), DType::f64);
    ASSERT_TRUE(want.contains(named.name)) << named.name;
    if (named.shard != nullptr) {
      ++shards;
      expect_close(got, nn::shard_of(want.at(named.name), *named.shard), named.name);
    } else {
      expect_close(summed(got), want.at(named.name), named.name);
    }
  }
  EXPECT_GT(shards, 0);
  EXPECT_EQ(own->parameter_count(), whole->parameter_count());
}

nn::TensorSplitPointer split_of_world() { return tensor_split(world()); }

std::function<Tensor(const Tensor&)> part_of(std::vector<int64_t> groups) {
  return [groups](const Tensor& y) {
    return nn::shard_of(y, split_of_world()->shard(y.rank() - 1, groups));
  };
}

TEST(TensorParallel, LinearByColumnsAndByRows) {
  for (const bool lora : {false, true}) {
    for (const Activation activation : {Activation::none, Activation::gelu}) {
      const auto make = [&] {
        auto layer = std::make_unique<nn::Linear>(7, 13);
        if (lora) layer->adapt({.rank = 3, .alpha = 6.0, .dropout = 0.3});
        return layer;
      };
      const std::function<Tensor(nn::Linear&, const Tensor&)> run =
          [&](nn::Linear& layer, const Tensor& x) { return layer.forward(x, activation); };
      const Tensor x = normal({2, 3, 7}, "x");
      expect_like_whole<nn::Linear>(
          make,
          [](nn::Linear& layer) {
            layer.split_columns(split_of_world(), {5, 8});
          },
          x, run, part_of({5, 8}));
      // The input's part is what the layer before would give.
      const std::function<Tensor(nn::Linear&, const Tensor&)> run_rows = [&](nn::Linear& layer,
                                                                             const Tensor& in) {
        const bool whole = layer.weight.size(1) == in.size(-1);
        const int64_t first = split_of_world()->first(7);
        return layer.forward(whole ? in : slice(in, -1, first, first + layer.weight.size(1)),
                             activation);
      };
      expect_like_whole<nn::Linear>(
          make, [](nn::Linear& layer) { layer.split_rows(split_of_world()); }, x, run_rows);
    }
  }
}

TEST(TensorParallel, SplitLinearRefusesASecondSplitAndLateUpdates) {
  nn::Linear layer(8, 8);
  layer.split_columns(split_of_world());
  EXPECT_THROW(layer.split_rows(split_of_world()), Error);
  EXPECT_THROW(layer.adapt({}), Error);
  nn::Linear small(8, 1);
  EXPECT_THAT(request_error([&] { small.split_columns(split_of_world()); }),
              HasSubstr("cannot share 1"));
}

TEST(TensorParallel, EmbeddingByVocabulary) {
  for (const int64_t vocab : {12, 13}) {
    expect_like_whole<nn::Embedding>(
        [&] { return std::make_unique<nn::Embedding>(vocab, 5); },
        [](nn::Embedding& embed) { embed.split_rows(split_of_world()); },
        integers({3, 7}, vocab, "ids"),
        [](nn::Embedding& embed, const Tensor& ids) { return embed(ids); });
  }
  nn::Embedding embed(13, 5);
  embed.split_rows(split_of_world());
  EXPECT_THROW(embed(Tensor::full({1}, 13, DType::i64)), Error);
}

TEST(TensorParallel, FeedForwardLayersWithDropout) {
  for (const char* kind : {"gelu", "swiglu"}) {
    for (const int64_t hidden : {24, 25}) {
      expect_like_whole<nn::FeedForward>(
          [&] { return nn::make_feed_forward(kind, 6, hidden, true, 0.4); },
          [](nn::FeedForward& layer) { layer.split_hidden(split_of_world()); },
          normal({2, 5, 6}, "x"),
          [](nn::FeedForward& layer, const Tensor& x) { return layer.forward(x); });
    }
  }
}

TEST(TensorParallel, FeedForwardLayersWithAConvolution) {
  for (const bool residual : {false, true}) {
    nn::ConvMlpOptions o;
    o.dim = 6;
    o.hidden = 25;
    o.dropout = 0.4;
    o.residual = residual;
    expect_like_whole<nn::FeedForward>(
        [&] { return std::make_unique<nn::ConvMlp>(o); },
        [](nn::FeedForward& layer) { layer.split_hidden(split_of_world()); },
        normal({2, 3, 4, 6}, "x"),
        [](nn::FeedForward& layer, const Tensor& x) { return layer.forward(x); });
  }
}

void expect_like_whole_attention(const std::string& slot, const nn::AttentionHost& host,
                                 const nn::AttentionContext& context) {
  SCOPED_TRACE(fmt::format("{}, {} key heads", slot, host.kv_heads));
  expect_like_whole<nn::AttentionMechanism>(
      [&] { return nn::make_attention(parse_yaml(slot, "slot"), host); },
      [](nn::AttentionMechanism& layer) { layer.split_heads(split_of_world()); },
      normal({2, 9, 10}, "x"),
      [&](nn::AttentionMechanism& layer, const Tensor& x) { return layer.forward(x, context); });
}

void expect_attention(const std::string& slot, nn::AttentionHost host,
                      const nn::AttentionContext& context = {}) {
  const int64_t ranks = world().size();
  host.heads = 2 * host.kv_heads * ranks;  // grouped queries
  host.kv_heads *= ranks;
  host.dim = 10;
  host.head_dim = 4;
  expect_like_whole_attention(slot, host, context);
}

// Fewer key heads than ranks. Four ranks share the six features of one unevenly.
void expect_shared_key_heads(const std::string& slot, nn::AttentionHost host,
                             const nn::AttentionContext& context = {}) {
  const int64_t ranks = world().size();
  host.heads = 2 * ranks;
  host.dim = 10;
  host.head_dim = 6;
  for (host.kv_heads = 1; host.kv_heads < ranks; ++host.kv_heads) {
    if (ranks % host.kv_heads == 0) expect_like_whole_attention(slot, host, context);
  }
}

TEST(TensorParallel, SoftmaxAttention) {
  expect_attention("{type: softmax}", {.kv_heads = 1, .dropout = 0.3});
  expect_attention("{type: softmax, sink: true, softcap: 5}",
                   {.kv_heads = 2, .position = "rotary"});
  expect_attention("{type: softmax}", {.kv_heads = 3, .position = "alibi", .qk_norm = true});
  nn::AttentionContext context;
  context.lengths = Tensor::from(std::vector<int64_t>{9, 4}, {2});
  expect_attention("{type: softmax}", {.kv_heads = 1, .causal = false, .dropout = 0.3}, context);
}

TEST(TensorParallel, PatternAttention) {
  expect_attention("{type: window, window: 3, sinks: 1}", {.kv_heads = 1, .dropout = 0.3});
  expect_attention("{type: power, block: 2}", {.kv_heads = 2, .position = "rotary"});
  expect_attention("{type: power, rule: longnet, block: 1}", {.kv_heads = 1});
  const nn::AttentionContext map{.grid = {3, 3}};
  for (const char* slot : {"{type: neighborhood, window: 3, relative: true}",
                           "{type: window_partition, window: 2, relative: true}",
                           "{type: halo, block: 3, halo: 1, relative: true}"}) {
    expect_attention(slot, {.kv_heads = 1, .causal = false, .dropout = 0.2}, map);
  }
}

TEST(TensorParallel, SelectiveAttention) {
  expect_attention("{type: selective, key: true}", {.kv_heads = 1, .dropout = 0.3});
  expect_attention("{type: selective, value_position: true, per_head: true}",
                   {.kv_heads = 2, .position = "rotary"});
  expect_attention("{type: selective, token: mlp, hidden: 3, per_head: true}", {.kv_heads = 1});
  expect_attention("{type: selective, token: none, value: false, gate: expexp}", {.kv_heads = 1});
  nn::AttentionContext context;
  context.lengths = Tensor::from(std::vector<int64_t>{9, 4}, {2});
  expect_attention("{type: selective, token: mlp}", {.kv_heads = 1, .causal = false}, context);
  if (world().size() == 1) return;
  const auto shared_keys =
      nn::make_attention(parse_yaml("selective", "slot"),
                         {.dim = 8, .heads = world().size(), .kv_heads = 1, .head_dim = 4});
  EXPECT_THAT(request_error([&] { shared_keys->split_heads(split_of_world()); }),
              HasSubstr("no more ranks than those"));
}

// Ranks hold channels, of which 10 share out unevenly.
TEST(TensorParallel, LargeKernelAttention) {
  const nn::AttentionContext map{.grid = {3, 3}};
  expect_attention("{type: large_kernel}", {.kv_heads = 1, .causal = false}, map);
  expect_attention("{type: large_kernel, gate: sigmoid_mul, kernel: 9}",
                   {.kv_heads = 1, .causal = false}, map);
  expect_attention("{type: large_kernel, gate: none, mix: false}", {.kv_heads = 1, .causal = false},
                   map);
  expect_attention("{type: large_kernel}", {.kv_heads = 1, .causal = false},
                   {.grid = {2, 4}, .globals = 1});
}

TEST(TensorParallel, LinformerAttention) {
  expect_attention("{type: linformer, tokens: 9, projected: 3}",
                   {.kv_heads = 1, .causal = false, .dropout = 0.3});
}

TEST(TensorParallel, AttentionWithAState) {
  expect_attention("{type: linear_attention}", {.kv_heads = 1});
  expect_attention("{type: linear_attention, feature: cosformer}",
                   {.kv_heads = 1, .causal = false});
  for (const char* gate : {"head", "token", "channel"}) {
    expect_attention(fmt::format("{{type: gated_linear, gate: {}}}", gate), {.kv_heads = 1});
  }
  expect_attention("{type: local_linear, iterations: 64, tolerance: 0}",
                   {.kv_heads = 1, .qk_norm = true});
}

TEST(TensorParallel, RanksThatHaveKeyHeadsTogether) {
  expect_shared_key_heads("{type: softmax}", {.dropout = 0.3});
  expect_shared_key_heads("{type: softmax, sink: true}", {.position = "rotary"});
  expect_shared_key_heads("{type: softmax}", {.position = "alibi", .qk_norm = true});
  expect_shared_key_heads("{type: window, window: 3}", {.position = "rotary", .qk_norm = true});
  expect_shared_key_heads("{type: linear_attention}", {});
  expect_shared_key_heads("{type: linformer, tokens: 9, projected: 3}", {.causal = false});
  nn::AttentionContext context;
  context.lengths = Tensor::from(std::vector<int64_t>{9, 4}, {2});
  expect_shared_key_heads("{type: softmax}", {.causal = false}, context);
}

TEST(TensorParallel, HeadsMustShareOutAmongRanks) {
  const int64_t ranks = world().size();
  nn::AttentionHost host;
  host.dim = 8;
  host.kv_heads = ranks == 2 ? 3 : ranks - 1;
  host.heads = host.kv_heads * ranks;
  host.head_dim = 4;
  const auto error = [&] {
    const auto layer = nn::make_attention(Config(), host);
    return request_error([&] { layer->split_heads(split_of_world()); });
  };
  EXPECT_EQ(error(), fmt::format("{} ranks cannot share {} heads with {} key and value heads: they "
                                 "must divide the heads, and divide or be a multiple of the latter",
                                 ranks, host.heads, host.kv_heads));
  host.kv_heads = host.head_dim = 1;
  EXPECT_EQ(error(),
            fmt::format("{} ranks cannot share a key and value head of 1 features", ranks));
}

nn::GptOptions gpt_options() {
  nn::GptOptions o;
  o.vocab = 29;  // uneven parts
  o.context = 8;
  o.layers = 2;
  o.dim = 8;
  o.heads = 12;
  o.head_dim = 2;
  o.dropout = o.mlp_dropout = 0.2;
  return o;
}

template <class M>
void split_model(M& model) {
  split_tensors(model, world(), split_plan(model));
}

TEST(TensorParallel, DecodersAsInGpt2AndLlama) {
  for (const int64_t kv_heads : {0, 12, 1}) {
    nn::GptOptions o = gpt_options();
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

// Norms, dropout and residual stream with each rank's tokens alone.
template <class M>
void expect_shared_tokens(const std::function<std::unique_ptr<M>()>& make, const Tensor& input,
                          const std::function<Tensor(M&, const Tensor&)>& run) {
  expect_like_whole<M>(
      make, [](M& model) { split_tensors(model, world(), split_plan(model), true); }, input, run);
}

TEST(TensorParallel, TokensBetweenTheRegionsAreShared) {
  for (const bool checkpointing : {false, true}) {
    nn::GptOptions o = gpt_options();
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
    nn::EncoderOptions o;
    o.vocab = 29;
    o.context = 12;
    o.layers = 2;
    o.dim = 24;
    o.heads = 12;
    o.classes = 5;
    o.norm_first = norm_first;
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
TEST(TensorParallel, CompactTransformersShareTokens) {
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

TEST(TensorParallel, TokensThatDoNotShareOutAreRefused) {
  nn::GptOptions o = gpt_options();
  o.context = 12;  // these would
  nn::Gpt model(o);
  model.initialise(1);
  split_tensors(model, world(), split_plan(model), true);
  const Tensor ids = Tensor::zeros({1, 7}, DType::i64);
  EXPECT_THAT(request_error([&] { model.loss(ids, ids); }),
              HasSubstr(fmt::format("{} ranks cannot share 7 tokens", world().size())));
}

TEST(TensorParallel, UpdatesOfADecoder) {
  nn::GptOptions o = gpt_options();
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

TEST(TensorParallel, Encoders) {
  for (const bool norm_first : {false, true}) {
    nn::EncoderOptions o;
    o.vocab = 29;
    o.context = 8;
    o.layers = 2;
    o.dim = 24;
    o.heads = 12;
    o.hidden = 18;
    o.norm_first = norm_first;
    o.token_types = 2;
    o.classes = 5;
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

TEST(TensorParallel, VisionTransformers) {
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

TEST(TensorParallel, PlansThatDoNotFitAreRefused) {
  nn::GptOptions o = gpt_options();
  o.heads = 5;
  nn::Gpt five(o);
  EXPECT_THAT(request_error([&] { split_model(five); }),
              HasSubstr(fmt::format("parallel.tensor: blocks.0.attn: {} ranks cannot share 5 heads",
                                    world().size())));
  nn::Gpt model(gpt_options());
  EXPECT_THAT(request_error([&] {
                split_tensors(model, world(), {{"layers.*", SplitKind::hidden}});
              }),
              HasSubstr("'layers.*' matches no module with hidden features to share"));
  nn::Linear other(4, 4);
  EXPECT_THAT(request_error([&] { split_plan(other); }), HasSubstr("is none of these"));
}

TEST(TensorParallel, WholeStateAndBack) {
  const auto make = [] {
    auto model = std::make_unique<nn::Gpt>(gpt_options());
    fill(*model);
    return model;
  };
  const auto whole = make(), own = make();
  split_model(*own);
  Mesh mesh(world(), {.tensor = world().size()});
  const NamedTensors want = nn::state_dict(*whole), got = whole_state(*own, mesh);
  if (world().rank() == 0) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_EQ(got[i].first, want[i].first);
      expect_close(got[i].second, want[i].second, want[i].first);
    }
  }
  // Moments go with their parameters; loading gives each rank its parts back.
  NamedTensors moments = {{"step", Tensor::scalar(int64_t{7})}};
  for (const auto& [name, tensor] : want) moments.emplace_back("exp_avg." + name, tensor);
  const NamedTensors parts = own_state(moments, *own);
  for (size_t i = 0; i < want.size(); ++i) {
    expect_close(parts[i + 1].second, nn::state_dict(*own)[i].second, parts[i + 1].first);
  }
  const NamedTensors joined = whole_state(parts, *own, mesh);
  if (world().rank() == 0) {
    ASSERT_EQ(joined.size(), moments.size());
  }
  for (size_t i = 0; i < joined.size() && world().rank() == 0; ++i) {
    expect_close(joined[i].second, moments[i].second, joined[i].first);
  }
  const auto fresh = make();
  split_model(*fresh);
  for (const auto& named : fresh->named_tensors()) kernels::fill(*named.tensor, 0.0);
  nn::load_state_dict(*fresh, want);
  for (size_t i = 0; i < want.size(); ++i) {
    expect_close(nn::state_dict(*fresh)[i].second, nn::state_dict(*own)[i].second, want[i].first);
  }
}

// All-reduces of [rows, dim]: one for the embedding and two a block, both ways; four numbers a row
// and rank for the loss; a number for its seed; and nothing else. Where tokens are shared each of a
// block's is a reduce-scatter and an all-gather, and the stack's end gathers once more.
TEST(TensorParallel, SendsWhatIsCountedByHand) {
  for (const bool tokens : {false, true}) {
    nn::GptOptions o = gpt_options();
    o.context = 12;
    nn::Gpt model(o);
    model.initialise(1);
    const auto ranks = world().split(0, world().rank());
    split_tensors(model, *ranks, split_plan(model), tokens);
    const int64_t rows = 3 * 12, n = world().size(), f32 = 4;
    const Tensor ids = integers({3, 12}, 29, "ids");
    const int64_t before = ranks->bytes_sent();
    backward(model.loss(ids, ids));
    const int64_t half = rows * o.dim * f32 * (n - 1) / n;  // of an all-reduce
    const int64_t loss = rows * 4 * f32 * (n - 1) + 2 * 8 * (n - 1) / n;
    EXPECT_EQ(ranks->bytes_sent() - before,
              2 * (1 + 2 * o.layers) * 2 * half + (tokens ? 2 * half : 0) + loss);
  }
}

}  // namespace
}  // namespace heed
