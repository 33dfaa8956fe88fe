// PowerAttention against algorithm 1 of arXiv 2503.03588 read pair by pair, the paper's counts, and
// the receptive field that its theorem states.
#include "nn/attention/power_attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>

#include "kernels/attention/patterns/receptive_field.h"
#include "nn/attention/registry.h"
#include "nn/models/gpt.h"
#include "recipes/engine/claim.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using ::testing::ElementsAre;
using testing::random_tensor;
using testing::relative_distance;
using Blocks = std::vector<int64_t>;

// The published pseudo-code, with its bit test, for one pair of tokens; b tokens a block.
bool algorithm_1(int64_t i, int64_t j, int64_t b, int64_t w, int64_t s) {
  const int64_t query = i / b, key = j / b, distance = query - key;
  const bool sink = j < s * b, window = distance < w, power = (distance & (distance - 1)) == 0;
  return i >= j && (sink || window || power);
}

AttentionPattern causal(const PowerBlocks& blocks, int64_t tokens) {
  return AttentionPattern::causal() & power_blocks(tokens, tokens, 0, blocks);
}

// One token a block: tiles are pairs.
PowerBlocks tiles(BlockRule rule, int64_t window, int64_t sinks = 1) {
  return {.block = 1, .window = window, .sinks = sinks, .rule = rule};
}

TEST(PowerAttention, PatternIsAlgorithmOnes) {
  for (const auto& [b, w, s] : std::vector<std::array<int64_t, 3>>{
           {1, 1, 0}, {1, 2, 1}, {3, 2, 1}, {16, 5, 1}, {7, 1, 2}, {64, 3, 0}}) {
    const int64_t tokens = 131;  // the last block is ragged
    const AttentionPattern pattern = causal({.block = b, .window = w, .sinks = s}, tokens);
    for (int64_t i = 0; i < tokens; ++i)
      for (int64_t j = 0; j < tokens; ++j)
        ASSERT_EQ(pattern.allowed(0, 0, i, j), algorithm_1(i, j, b, w, s))
            << i << " " << j << " block " << b;
    // A part that begins within a block, as a step of decoding does.
    const AttentionPattern step =
        power_blocks(4, tokens, tokens - 4, {.block = b, .window = w, .sinks = s});
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t j = 0; j <= tokens - 4 + i; ++j)
        ASSERT_EQ(step.allowed(0, 0, i, j), algorithm_1(tokens - 4 + i, j, b, w, s));
  }
}

// The key blocks of a query block, ascending.
Blocks visited_blocks(const PowerBlocks& blocks, int64_t query_block) {
  Blocks visited;
  for (int64_t key_block = 0; key_block <= query_block; ++key_block)
    if (sees_block(blocks, query_block, key_block)) visited.push_back(key_block);
  return visited;
}

TEST(PowerAttention, BlocksVisitThePapersBlocks) {
  const PowerBlocks power = {.block = 256};
  EXPECT_THAT(visited_blocks(power, 100), ElementsAre(0, 36, 68, 84, 92, 96, 97, 98, 99, 100));
  EXPECT_THAT(visited_blocks(power, 0), ElementsAre(0));
  EXPECT_THAT(visited_blocks(power, 4), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(visited_blocks(power, 8), ElementsAre(0, 4, 5, 6, 7, 8));
  EXPECT_THAT(visited_blocks(tiles(BlockRule::sliding, 9), 100),
              ElementsAre(0, 92, 93, 94, 95, 96, 97, 98, 99, 100));
  EXPECT_THAT(visited_blocks(tiles(BlockRule::stride, 6), 127),
              ElementsAre(0, 31, 63, 95, 122, 123, 124, 125, 126, 127));
  EXPECT_THAT(visited_blocks(tiles(BlockRule::dilated, 20, 0), 101),
              ElementsAre(83, 85, 87, 89, 91, 93, 95, 97, 99, 101));
  // Segments of 8, and from there on ever sparser ones.
  EXPECT_THAT(visited_blocks(tiles(BlockRule::longnet, 1, 0), 9), ElementsAre(8, 9));
  EXPECT_THAT(visited_blocks(tiles(BlockRule::longnet, 1, 0), 10),
              ElementsAre(0, 2, 4, 6, 8, 9, 10));
  const int64_t n = 128;
  EXPECT_EQ(kernels::attention_pairs(causal(tiles(BlockRule::power, 5), n), {1, 1, n, n}), 1141);
  EXPECT_EQ(kernels::attention_pairs(causal(tiles(BlockRule::sliding, 9), n), {1, 1, n, n}), 1235);
  for (int64_t q = 0; q < n; ++q) EXPECT_LE(visited_blocks(power, q).size(), 10u) << q;
}

TEST(PowerAttention, ReceptiveFieldGrowsAsThePaperSays) {
  const auto reach = [](BlockRule rule, int64_t window, int64_t layers) {
    return receptive_field(causal(tiles(rule, window), 128), 128, 127, layers);
  };
  EXPECT_THAT(reach(BlockRule::power, 5, 6), ElementsAre(1, 10, 35, 75, 110, 126, 128));
  EXPECT_THAT(reach(BlockRule::sliding, 9, 5), ElementsAre(1, 10, 18, 26, 34, 42));
}

// Theorem B.1: with powers of two alone a distance takes as many hops as it has bits.
TEST(PowerAttention, HopsAreTheBitsOfTheDistance) {
  const int64_t n = 128;
  const AttentionPattern pattern = causal(tiles(BlockRule::power, 1, 0), n);
  for (const int64_t query : {127, 100, 64, 1}) {
    const std::vector<int64_t> hops = attention_hops(pattern, n, query);
    for (int64_t j = 0; j < n; ++j) {
      EXPECT_EQ(hops[static_cast<size_t>(j)],
                j > query ? -1 : std::popcount(static_cast<uint64_t>(query - j)));
    }
  }
  EXPECT_THAT(receptive_field(pattern, n, 127, 7), ElementsAre(1, 8, 29, 64, 99, 120, 127, 128));
}

AttentionHost host_of(int64_t heads, int64_t kv_heads) {
  return {.dim = 8 * heads, .heads = heads, .kv_heads = kv_heads, .position = "rotary"};
}

std::unique_ptr<AttentionMechanism> made(const std::string& slot, const AttentionHost& host) {
  auto mechanism = make_attention(parse_yaml(slot, "test"), host);
  mechanism->initialise(1);
  mechanism->convert(DType::f64);
  testing::randomise(*mechanism);
  return mechanism;
}

// Softmax attention under the mask of every pair, added to the scores; no block, no tile.
TEST(PowerAttention, EqualsMaskedDenseAttentionWithItsGradients) {
  struct Trial {
    int64_t tokens, block, heads, kv_heads;
  };
  for (const Trial& t : {Trial{1, 1, 1, 1}, Trial{37, 2, 2, 1}, Trial{131, 16, 4, 2},
                         Trial{64, 64, 2, 2}, Trial{301, 16, 4, 1}}) {
    const AttentionHost host = host_of(t.heads, t.kv_heads);
    const auto power =
        made(fmt::format("{{type: power, block: {}, window: 2, sinks: 1}}", t.block), host);
    const auto dense = made("softmax", host);
    std::vector<double> mask;
    for (int64_t h = 0; h < t.heads; ++h)
      for (int64_t i = 0; i < t.tokens; ++i)
        for (int64_t j = 0; j < t.tokens; ++j)
          mask.push_back(algorithm_1(i, j, t.block, 2, 1) ? 0.0 : -1e30);
    const Tensor bias = Tensor::from(mask, {t.heads, t.tokens, t.tokens});
    const Tensor x = random_tensor({2, t.tokens, host.dim}, "x", DType::f64);
    const Tensor dy = random_tensor({2, t.tokens, host.dim}, "dy", DType::f64);
    const auto run = [&](AttentionMechanism& mechanism, const AttentionContext& context) {
      Tensor leaf = x.detach();
      require_grad(leaf);
      const Tensor y = mechanism.forward(leaf, context);
      backward(y, dy);
      std::vector<Tensor> results = {y, grad(leaf)};
      for (const Module::NamedTensor& p : mechanism.named_parameters())
        results.push_back(grad(*p.tensor));
      return results;
    };
    const auto got = run(*power, {}), want = run(*dense, {.bias = bias});
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_LT(relative_distance(got[i], want[i]), 1e-11) << t.tokens << ", tensor " << i;
  }
}

TEST(PowerAttention, EqualsCausalAttentionWhereTheWindowHoldsAllBlocks) {
  const AttentionHost host = host_of(2, 2);
  const Tensor x = random_tensor({2, 50, host.dim}, "x", DType::f64);
  EXPECT_LT(relative_distance(made("{type: power, block: 8, window: 7}", host)->forward(x),
                              made("softmax", host)->forward(x)),
            1e-13);
}

TEST(PowerAttention, TokensOutsideTheListChangeNoBit) {
  const AttentionHost host = host_of(2, 1);
  const int64_t tokens = 70, block = 3;
  const auto mechanism = made("{type: power, block: 3, window: 2, sinks: 1}", host);
  // Small, so that no pair's probability vanishes.
  auto small = random_tensor({1, tokens, host.dim}, "x", DType::f64).to_vector<double>();
  for (double& value : small) value *= 0.1;
  const Tensor x = Tensor::from(small, {1, tokens, host.dim});
  const auto before = mechanism->forward(x).to_vector<double>();
  const auto width = static_cast<size_t>(host.dim);
  for (const int64_t j : {0, 2, 17, 40, 69}) {
    auto values = x.to_vector<double>();
    for (size_t d = 0; d < width; ++d) values[static_cast<size_t>(j) * width + d] += 0.1;
    const auto after = mechanism->forward(Tensor::from(values, x.shape())).to_vector<double>();
    for (int64_t i = 0; i < tokens; ++i) {
      const auto at = static_cast<std::ptrdiff_t>(static_cast<size_t>(i) * width);
      const bool same =
          std::equal(before.begin() + at, before.begin() + at + host.dim, after.begin() + at);
      EXPECT_EQ(same, !algorithm_1(i, j, block, 2, 1)) << i << " " << j;
    }
  }
}

TEST(PowerAttention, GradientsAgreeWithDifferences) {
  for (const char* rule : {"power", "sliding", "stride", "dilated", "longnet"}) {
    EXPECT_EQ(testing::gradcheck_module(
                  "power", "attention",
                  parse_yaml(fmt::format("{{dim: 8, heads: 2, kv_heads: 1, block: 2, window: 2, "
                                         "sinks: 1, stride: 3, rule: {}}}",
                                         rule),
                             "test"),
                  {{"x", random_tensor({1, 19, 8}, "x", DType::f64)}}),
              "")
        << rule;
  }
}

TEST(PowerAttention, DecodingEqualsTheWholePassForEveryRule) {
  const AttentionHost host = host_of(2, 1);
  for (const char* rule : {"power", "sliding", "stride", "dilated", "longnet"}) {
    const auto mechanism = made(
        fmt::format("{{type: power, rule: {}, block: 3, window: 2, sinks: 1, stride: 4}}", rule),
        host);
    mechanism->eval();
    const Tensor x = random_tensor({2, 61, host.dim}, "x", DType::f64);
    KvCache cache(1);
    EXPECT_LT(testing::decoding_distance(*mechanism, x, {30, 1, 5, 1, 24}, cache), 1e-13) << rule;
  }
}

TEST(PowerAttention, AddsNoParametersToQwen2) {
  const auto count = [](const std::string& attention) {
    return Gpt(read_gpt_options(parse_yaml(
                   fmt::format("{{preset: qwen2-7b, attention: {}}}", attention), "test")))
        .parameter_count();
  };
  EXPECT_EQ(count("softmax"), 7615616512);
  EXPECT_EQ(count("{type: power, block: 256}"), 7615616512);
}

// 4 H D for each pair: of tiles, the diagonal one half.
TEST(PowerAttention, CountsThePairsOfItsTiles) {
  const AttentionHost host{.dim = 128, .heads = 1};
  const int64_t block = 64, tokens = 128 * block;
  const auto difference =
      make_attention(parse_yaml("{type: power, block: 64}", "test"), host)->flops(tokens) -
      2.0 * static_cast<double>(tokens) * 4 * 128 * 128;
  const double pairs = 1013.0 * block * block + 128.0 * block * (block + 1) / 2;
  EXPECT_DOUBLE_EQ(difference, 4.0 * 128 * pairs);
}

TEST(PowerAttention, MechanismsTakeTheLayersInTurn) {
  GptOptions options = read_gpt_options(parse_yaml(
      "{vocab: 5, layers: 5, dim: 8, heads: 2, position: none, attentions: [{attention: softmax}, "
      "{layers: 2, attention: {type: power, rule: sliding, block: 1, window: 1, sinks: 0}}]}",
      "test"));
  // Within `sliding` of one token nothing passes: layers 0 and 3 alone carry.
  Gpt model(options);
  model.initialise(1);
  const NoGrad none;
  const auto hears = [&](size_t layer) {
    const Tensor x = random_tensor({1, 6, 8}, "x");
    auto values = x.to_vector<float>();
    values[0] += 1.0F;
    const Tensor a = model.blocks[layer].attn->forward(x);
    const Tensor b = model.blocks[layer].attn->forward(Tensor::from(values, x.shape()));
    return a.to_vector<float>()[5 * 8] != b.to_vector<float>()[5 * 8];
  };
  for (size_t layer = 0; layer < 5; ++layer) EXPECT_EQ(hears(layer), layer % 3 == 0) << layer;
}

// The places that the claim calls reached and beyond are what four layers join with the last token.
TEST(PowerAttention, TheClaimsPlacesAreThoseOfTheGraph) {
  const recipes::Claim claim =
      recipes::load_claim(HEED_SOURCE_DIR "/recipes/power-attention/claim.yaml");
  const AttentionPattern pattern =
      causal({.block = 2, .window = 2, .sinks = 1, .rule = BlockRule::power}, 256);
  const std::vector<int64_t> hops = attention_hops(pattern, 256, 255);
  std::vector<int64_t> reached, beyond;
  for (int64_t place = 0; place < 248; ++place) {
    const int64_t needed = hops[static_cast<size_t>(place)];
    (needed >= 0 && needed <= 4 ? reached : beyond).push_back(place);
  }
  const auto places = [&](const std::string& point) {
    for (const recipes::ClaimPoint& p : claim.points_of("mini")) {
      if (p.name != point) continue;
      const std::string& text = p.overrides.back();
      const Config list = parse_yaml(text.substr(text.find('=') + 1), "claim");
      std::vector<int64_t> all;
      for (const Config& place : list.as_list()) all.push_back(place.as_integer());
      return all;
    }
    return std::vector<int64_t>();
  };
  EXPECT_EQ(places("beyond"), beyond);
  std::vector<int64_t> every_fourth;
  for (size_t i = 0; i < reached.size(); i += 4) every_fourth.push_back(reached[i]);
  EXPECT_EQ(places("reached"), every_fourth);
}

}  // namespace
}  // namespace heed::nn
