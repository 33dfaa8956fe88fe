// Attention mechanisms whose tokens ranks share, against themselves on one rank.
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "distributed/sequence_parallel.h"
#include "distributed/world.h"
#include "kernels/copy/copy.h"
#include "nn/attention/registry.h"
#include "tests/distributed/shared_attention.h"

namespace heed {
namespace {

using testing::kLayouts;
using testing::largest_difference;
using testing::normal;

constexpr SequenceMethod kMethods[] = {SequenceMethod::ring, SequenceMethod::rsa,
                                       SequenceMethod::heads};

struct MechanismCase {
  const char* slot;
  nn::AttentionHost host;
  bool training = false;
  std::vector<SequenceMethod> methods = {SequenceMethod::ring, SequenceMethod::heads};
};

std::unique_ptr<nn::AttentionMechanism> made(const MechanismCase& of) {
  auto mechanism = nn::make_attention(parse_yaml(of.slot, "test"), of.host);
  mechanism->initialise(3);
  mechanism->convert(DType::f64);
  // Of the size that trained weights have: in a saturated tanh rounding would be all there is.
  for (const auto& parameter : mechanism->named_parameters()) {
    const Shape& shape = parameter.tensor->shape();
    const double scale = 1.0 / std::sqrt(static_cast<double>(shape[shape.rank() - 1]));
    kernels::copy(mul(normal(shape, parameter.name), scale), *parameter.tensor);
  }
  mechanism->train(of.training);
  return mechanism;
}

// Outputs, the gradient of the inputs and of every parameter: the sum over ranks, or the rank's
// part where it holds one.
void expect_equals_one_rank(const MechanismCase& of, TokenLayout layout, SequenceMethod method,
                            const nn::AttentionContext& context, int64_t tokens) {
  Communicator& ranks = world();
  const std::string where = fmt::format("{}, {}, {}", of.slot, name_of(layout), name_of(method));
  const auto whole = made(of), shared = made(of);
  const auto split = std::make_shared<SequenceParallel>(ranks, layout, method);
  share_tokens(*shared, split);
  Tensor x = normal({2, tokens, of.host.dim}, "x");
  const Tensor dy = normal(x.shape(), "dy");
  Tensor own = split->own(x).detach();
  require_grad(x);
  require_grad(own);
  const Tensor want = whole->forward(x, context);
  backward(want, dy);
  const Tensor part = shared->forward(own, context);
  const Tensor got = split->whole(part);
  // The ranks' losses add up to the whole's: each takes its share of every output.
  const double share = 1.0 / ranks.size();
  std::vector<double> scaled = dy.to_vector<double>();
  for (double& value : scaled) value *= share;
  backward(got, Tensor::from(scaled, dy.shape()));

  EXPECT_LE(largest_difference(got, want), 1e-10) << where;
  EXPECT_LE(largest_difference(grad(own), split->own(grad(x))), 1e-10) << "dx of " << where;
  const auto parameters = whole->named_parameters(), own_parameters = shared->named_parameters();
  ASSERT_EQ(parameters.size(), own_parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    Tensor expected = grad(*parameters[i].tensor);
    ASSERT_TRUE(expected.defined()) << parameters[i].name;
    const Tensor sum = Tensor::zeros(own_parameters[i].tensor->shape(), DType::f64);
    if (grad(*own_parameters[i].tensor).defined())
      kernels::copy(grad(*own_parameters[i].tensor), sum);
    if (own_parameters[i].shard != nullptr)
      expected = nn::shard_of(expected, *own_parameters[i].shard);
    else
      ranks.all_reduce(sum);
    EXPECT_LE(largest_difference(sum, expected), 1e-10) << parameters[i].name << " of " << where;
  }
}

TEST(SequenceParallel, MechanismsEqualThemselvesOnOneRank) {
  const int64_t n = world().size(), heads = n, tokens = 2 * n * 7;
  nn::AttentionHost host{.dim = 8 * heads, .heads = heads};
  nn::AttentionHost free = host, rotary = host, alibi = host, normed = host, dropped = host;
  free.causal = false;
  rotary.position = "rotary";
  alibi.position = "alibi";
  normed.qk_norm = true;
  dropped.dropout = 0.3;
  const std::vector<SequenceMethod> all(std::begin(kMethods), std::end(kMethods));
  const MechanismCase cases[] = {
      {"softmax", rotary, false, all},
      {"softmax", alibi, false, all},
      {"softmax", normed, false, all},
      {"softmax", free, false, all},
      {"softmax", dropped, true, all},
      {"{type: softmax, sink: true, softcap: 3}", host},
      {"{type: window, window: 5, sinks: 2}", rotary, false, all},
      {"{type: power, block: 3, window: 2, sinks: 1}", host, false, all},
      {"{type: selective, key: true}", rotary, false, all},
      {"{type: selective, token: mlp, value_position: true, per_head: true}", free, false, all},
      {"{type: neighborhood, window: 5, relative: true, axes: 1}", free},
      {"{type: neighborhood, window: 5, dilation: 2, relative: true}", host},
      {"{type: window_partition, window: 4, relative: true, axes: 1}", free},
      {"{type: halo, block: 4, halo: 2, border: virtual}", free},
      {"{type: halo, block: 4, halo: 2, border: crop, relative: true, axes: 1}", free},
  };
  for (const MechanismCase& of : cases)
    for (const TokenLayout layout : kLayouts)
      for (const SequenceMethod method : of.methods)
        expect_equals_one_rank(of, layout, method, {}, tokens);
}

TEST(SequenceParallel, LengthsAndBiasesAreThoseOfWholeSequences) {
  const int64_t n = world().size(), tokens = 2 * n * 5;
  const nn::AttentionHost host{.dim = 8 * n, .heads = n, .causal = false};
  nn::AttentionContext lengths;
  lengths.lengths = Tensor::from(std::vector<int64_t>{tokens, tokens / 3}, {2});
  nn::AttentionContext biased;
  biased.bias = normal({n, tokens, tokens}, "bias");
  for (const char* slot : {"softmax", "{type: window, window: 9}"}) {
    for (const TokenLayout layout : kLayouts) {
      expect_equals_one_rank({slot, host}, layout, SequenceMethod::ring, lengths, tokens);
      expect_equals_one_rank({slot, host}, layout, SequenceMethod::ring, biased, tokens);
      expect_equals_one_rank({slot, host}, layout, SequenceMethod::heads, biased, tokens);
    }
  }
}

TEST(SequenceParallel, MapsAreCutLikeSequences) {
  const int64_t n = world().size(), side = 2 * n;
  const nn::AttentionHost host{.dim = 16, .heads = 2, .causal = false};
  nn::AttentionContext map;
  map.grid = {side, side};
  for (const TokenLayout layout : kLayouts) {
    expect_equals_one_rank({"{type: neighborhood, window: 3, relative: true, axes: 2}", host},
                           layout, SequenceMethod::ring, map, side * side);
  }
}

TEST(SequenceParallel, LinformerHoldsItsTokensColumns) {
  const int64_t n = world().size(), tokens = n * 6;
  nn::AttentionHost host{.dim = 16, .heads = 4, .kv_heads = 2, .causal = false};
  host.position = "rotary";
  const std::string slot = fmt::format("{{type: linformer, tokens: {}, projected: 5}}", tokens);
  const std::string one =
      fmt::format("{{type: linformer, tokens: {}, projected: 5, shared: true}}", tokens);
  nn::AttentionHost dropped = host;
  dropped.dropout = 0.3;
  for (const TokenLayout layout : {TokenLayout::contiguous, TokenLayout::striped}) {
    expect_equals_one_rank({slot.c_str(), host}, layout, SequenceMethod::ring, {}, tokens);
    expect_equals_one_rank({one.c_str(), host}, layout, SequenceMethod::ring, {}, tokens);
    expect_equals_one_rank({slot.c_str(), dropped, true}, layout, SequenceMethod::ring, {}, tokens);
  }
  const auto mechanism = made({slot.c_str(), host});
  share_tokens(*mechanism, std::make_shared<SequenceParallel>(world(), TokenLayout::contiguous));
  for (const auto& parameter : mechanism->named_parameters()) {
    if (parameter.name.find("projection") == std::string::npos) continue;
    ASSERT_NE(parameter.shard, nullptr);
    EXPECT_EQ(parameter.tensor->shape(), (Shape{5, 6}));
  }
  // Two groups of key and value projections, summed: 4 (N - 1)/N B Hkv k D numbers.
  const auto group = world().split(0, world().rank());
  const auto counted = made({slot.c_str(), host});
  share_tokens(*counted, std::make_shared<SequenceParallel>(*group, TokenLayout::contiguous));
  counted->forward(normal({2, 6, 16}, "x"));
  EXPECT_EQ(group->bytes_sent(), 2 * 8 * (2 * 2 * 2 * 5 * 4) * (n - 1) / n);
  const auto apart = made({slot.c_str(), host});
  EXPECT_THROW(
      share_tokens(*apart, std::make_shared<SequenceParallel>(world(), TokenLayout::zigzag)),
      RequestError);
}

TEST(SequenceParallel, NamesTheMechanismThatCannotShare) {
  const auto split = std::make_shared<SequenceParallel>(world(), TokenLayout::contiguous);
  struct Host : nn::Module {
    explicit Host(std::unique_ptr<nn::AttentionMechanism> mechanism) : inner(std::move(mechanism)) {
      children({{"mixer", *inner}});
    }
    std::unique_ptr<nn::AttentionMechanism> inner;
  };
  for (const char* slot : {"linear_attention", "gated_linear", "local_linear",
                           "{type: halo, block: 4, halo: 2, relative: true, axes: 1}"}) {
    const bool causal = std::string(slot).find("halo") == std::string::npos;
    Host host(
        nn::make_attention(parse_yaml(slot, "test"), {.dim = 16, .heads = 2, .causal = causal}));
    host.initialise(1);
    try {
      share_tokens(host, split);
      ADD_FAILURE() << slot << " shares its tokens";
    } catch (const RequestError& error) {
      EXPECT_NE(std::string(error.what()).find("mixer"), std::string::npos) << error.what();
    }
    EXPECT_EQ(host.inner->token_split(), nullptr);
  }
}

// Whole tensors, and sums, and their gradients.
TEST(SequenceParallel, GathersAndSums) {
  Communicator& ranks = world();
  const int64_t n = ranks.size(), tokens = 2 * n * 3;
  for (const TokenLayout layout : kLayouts) {
    const SequenceParallel split(ranks, layout);
    const Tensor x = normal({2, tokens, 3}, "x");
    Tensor own = split.own(x).detach();
    require_grad(own);
    const Tensor whole = split.whole(own);
    EXPECT_EQ(whole.to_vector<double>(), x.to_vector<double>());
    // Rank r's seed is r + 1 times ones: their sum comes back.
    backward(whole, Tensor::full(whole.shape(), ranks.rank() + 1.0, DType::f64));
    for (const double value : grad(own).to_vector<double>())
      EXPECT_EQ(value, static_cast<double>(n * (n + 1) / 2));
    Tensor one = Tensor::full({2, 3}, ranks.rank() + 1.0, DType::f64);
    require_grad(one);
    const Tensor sum = split.sum(one);
    EXPECT_EQ(sum.to_vector<double>()[0], static_cast<double>(n * (n + 1) / 2));
    backward(sum, Tensor::full({2, 3}, 2.0, DType::f64));
    EXPECT_EQ(grad(one).to_vector<double>()[5], 2.0 * static_cast<double>(n));
    const SequenceParallel uneven(ranks, layout);
    EXPECT_THROW(uneven.positions(2 * n * 3 + 1), RequestError);
  }
}

TEST(SequenceParallel, KnowsItsMethods) {
  for (const SequenceMethod method : kMethods) EXPECT_EQ(sequence_method(name_of(method)), method);
  EXPECT_THROW(sequence_method("rings"), RequestError);
}

}  // namespace
}  // namespace heed
