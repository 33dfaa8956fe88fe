// Attention mechanisms whose heads ranks share.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/attention/registry.h"
#include "tests/core/raises.h"
#include "tests/distributed/split_modules.h"

namespace heed {
namespace {

using testing::expect_like_whole;
using ::testing::HasSubstr;
using testing::normal;
using testing::split_of_world;

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

TEST(SplitAttention, SoftmaxAttention) {
  expect_attention("{type: softmax}", {.kv_heads = 1, .dropout = 0.3});
  expect_attention("{type: softmax, sink: true, softcap: 5}",
                   {.kv_heads = 2, .position = "rotary"});
  expect_attention("{type: softmax}", {.kv_heads = 3, .position = "alibi", .qk_norm = true});
  nn::AttentionContext context;
  context.lengths = Tensor::from(std::vector<int64_t>{9, 4}, {2});
  expect_attention("{type: softmax}", {.kv_heads = 1, .causal = false, .dropout = 0.3}, context);
}

TEST(SplitAttention, PatternAttention) {
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

TEST(SplitAttention, SelectiveAttention) {
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
TEST(SplitAttention, LargeKernelAttention) {
  const nn::AttentionContext map{.grid = {3, 3}};
  expect_attention("{type: large_kernel}", {.kv_heads = 1, .causal = false}, map);
  expect_attention("{type: large_kernel, gate: sigmoid_mul, kernel: 9}",
                   {.kv_heads = 1, .causal = false}, map);
  expect_attention("{type: large_kernel, gate: none, mix: false}", {.kv_heads = 1, .causal = false},
                   map);
  expect_attention("{type: large_kernel}", {.kv_heads = 1, .causal = false},
                   {.grid = {2, 4}, .globals = 1});
}

TEST(SplitAttention, LinformerAttention) {
  expect_attention("{type: linformer, tokens: 9, projected: 3}",
                   {.kv_heads = 1, .causal = false, .dropout = 0.3});
}

TEST(SplitAttention, AttentionWithAState) {
  expect_attention("{type: linear_attention}", {.kv_heads = 1});
  expect_attention("{type: linear_attention, feature: cosformer}",
                   {.kv_heads = 1, .causal = false});
  for (const char* gate : {"head", "token", "channel"}) {
    expect_attention(fmt::format("{{type: gated_linear, gate: {}}}", gate), {.kv_heads = 1});
  }
  expect_attention("{type: local_linear, iterations: 64, tolerance: 0}",
                   {.kv_heads = 1, .qk_norm = true});
}

TEST(SplitAttention, RanksThatHaveKeyHeadsTogether) {
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

TEST(SplitAttention, HeadsMustShareOutAmongRanks) {
  const int64_t ranks = world().size();
  if (ranks == 1) return;
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

}  // namespace
}  // namespace heed
