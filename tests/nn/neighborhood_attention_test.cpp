// Neighborhood attention against its definition, and what the papers say of it.
#include "nn/attention/neighborhood_attention.h"

#include <gtest/gtest.h>

#include <set>

#include "autograd/ops/attention.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "core/views.h"
#include "nn/attention/registry.h"
#include "tests/nn/naive_neighborhood.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::naive_neighborhood;
using testing::NaiveAxis;
using testing::neighbours;
using testing::random_tensor;
using testing::relative_distance;

const AttentionHost kBoth{.dim = 6, .heads = 2, .causal = false};
const AttentionHost kCausal{.dim = 6, .heads = 2};

std::unique_ptr<AttentionMechanism> made(const std::string& slot, const AttentionHost& host) {
  auto mechanism = make_attention(parse_yaml("{type: neighborhood, " + slot + "}", "test"), host);
  mechanism->initialise(1);
  mechanism->convert(DType::f64);
  testing::randomise(*mechanism);
  return mechanism;
}

std::vector<double> parameter(Module& module, const std::string& name) {
  for (const Module::NamedTensor& p : module.named_parameters())
    if (p.name == name) return p.tensor->to_vector<double>();
  return {};
}

/// x [rows, in] times weight [out, in] plus bias.
std::vector<double> product(const std::vector<double>& x, const std::vector<double>& weight,
                            const std::vector<double>& bias) {
  const size_t out = bias.size(), in = weight.size() / out;
  std::vector<double> y;
  for (size_t row = 0; row < x.size() / in; ++row)
    for (size_t o = 0; o < out; ++o) {
      double sum = bias[o];
      for (size_t i = 0; i < in; ++i) sum += weight[o * in + i] * x[row * in + i];
      y.push_back(sum);
    }
  return y;
}

/// The mechanism's output for x [N, 6] by the definition.
std::vector<double> by_definition(AttentionMechanism& mechanism, const std::vector<NaiveAxis>& axes,
                                  const std::vector<double>& x) {
  constexpr size_t kDim = 6, kHeads = 2, kWidth = 3;
  const auto packed =
      product(x, parameter(mechanism, "qkv.weight"), parameter(mechanism, "qkv.bias"));
  const std::vector<double> tables = parameter(mechanism, "table");
  const size_t tokens = x.size() / kDim, entries = tables.size() / kHeads;
  std::vector<double> mixed(x.size());
  for (size_t h = 0; h < kHeads; ++h) {
    std::vector<double> part[3];
    for (size_t t = 0; t < tokens; ++t)
      for (size_t which = 0; which < 3; ++which)
        for (size_t c = 0; c < kWidth; ++c)
          part[which].push_back(packed[t * 3 * kDim + which * kDim + h * kWidth + c]);
    const auto at = tables.begin() + static_cast<std::ptrdiff_t>(h * entries);
    const std::vector<double> table(at, at + static_cast<std::ptrdiff_t>(entries));
    const auto out =
        naive_neighborhood(axes, part[0], part[1], part[2], table, 1.0 / std::sqrt(double{kWidth}));
    for (size_t t = 0; t < tokens; ++t)
      for (size_t c = 0; c < kWidth; ++c) mixed[t * kDim + h * kWidth + c] = out[t * kWidth + c];
  }
  return product(mixed, parameter(mechanism, "out.weight"), parameter(mechanism, "out.bias"));
}

void expect_definition(const std::string& slot, const AttentionHost& host,
                       const std::vector<NaiveAxis>& axes) {
  std::vector<int64_t> grid;
  for (const NaiveAxis& axis : axes) grid.push_back(axis.length);
  AttentionContext context;
  if (!host.causal) context.grid = Shape(grid);
  const int64_t tokens = Shape(grid).numel();
  const auto mechanism = made(slot, host);
  const Tensor x = random_tensor({1, tokens, 6}, slot, DType::f64);
  const auto want = by_definition(*mechanism, axes, x.to_vector<double>());
  EXPECT_LT(relative_distance(mechanism->forward(x, context), Tensor::from(want, x.shape())), 1e-13)
      << slot;
}

TEST(NeighborhoodAttention, EqualsItsDefinition) {
  expect_definition("window: 3", kBoth, {{7, 3}});
  expect_definition("window: 4, dilation: 2, relative: true, axes: 1", kBoth, {{11, 4, 2}});
  expect_definition("window: 3, relative: true", kBoth, {{5, 3}, {6, 3}});
  expect_definition("window: 3, dilation: 2, relative: true", kBoth, {{6, 3, 2}, {7, 3, 2}});
  expect_definition("windows: [3, 5], dilations: [2, 1], relative: true", kBoth,
                    {{7, 3, 2}, {6, 5}});
  expect_definition(
      "windows: [2, 3, 3], dilations: [1, 1, 2], causal_axes: [0], relative: true, "
      "axes: 3",
      kBoth, {{3, 2, 1, true}, {4, 3}, {7, 3, 2}});
  expect_definition("window: 3, causal_axes: [0, 1]", kBoth, {{4, 3, 1, true}, {5, 3, 1, true}});
}

// In a causal model the window is never cut short because few tokens follow.
TEST(NeighborhoodAttention, IsCausalInACausalModel) {
  expect_definition("window: 3", kCausal, {{9, 3, 1, true}});
  expect_definition("window: 3, dilation: 3, relative: true", kCausal, {{11, 3, 3, true}});
  expect_definition("window: 9, dilation: 4", kCausal, {{10, 9, 4, true}});
  EXPECT_EQ(made("window: 3", kCausal)->flops(16), 2.0 * 16 * (6 * 18 + 6 * 6) + 4.0 * 45 * 6);
}

TEST(NeighborhoodAttention, SmallMapsArePaddedWhereAsked) {
  // A map of 3 x 5 becomes one of 6 x 6, whose added tokens have the biases for keys and values.
  const std::string slot = "window: 3, dilation: 2, relative: true, fit: pad";
  const auto mechanism = made(slot, kBoth);
  const Tensor x = random_tensor({1, 15, 6}, "x", DType::f64);
  const std::vector<double> given = x.to_vector<double>();
  std::vector<double> padded(36 * 6, 0.0);
  for (size_t t = 0; t < 15; ++t)
    for (size_t c = 0; c < 6; ++c) padded[(t / 5 * 6 + t % 5) * 6 + c] = given[t * 6 + c];
  const auto whole = by_definition(*mechanism, {{6, 3, 2}, {6, 3, 2}}, padded);
  std::vector<double> want;
  for (size_t t = 0; t < 15; ++t)
    for (size_t c = 0; c < 6; ++c) want.push_back(whole[(t / 5 * 6 + t % 5) * 6 + c]);
  EXPECT_LT(
      relative_distance(mechanism->forward(x, {.grid = {3, 5}}), Tensor::from(want, x.shape())),
      1e-13);
  EXPECT_FALSE(mechanism->shares_tokens());
  EXPECT_THROW(mechanism->forward(x, {.lengths = Tensor::from(std::vector<int64_t>{7}, {1})}),
               Error);
  // The padded map's positions are not those that the host gives.
  AttentionHost rotary{.dim = 8, .heads = 2, .causal = false};
  rotary.position = "rotary";
  const auto turned = made("window: 3, dilation: 2, fit: pad", rotary);
  EXPECT_THROW(turned->forward(random_tensor({1, 15, 8}, "x", DType::f64), {.grid = {3, 5}}),
               Error);
  // Where the map is large enough there is nothing to pad.
  const Tensor large = random_tensor({1, 42, 6}, "large", DType::f64);
  const auto shrinking = made("window: 3, dilation: 2, relative: true", kBoth);
  EXPECT_TRUE(testing::bitwise_equal(mechanism->forward(large, {.grid = {6, 7}}),
                                     shrinking->forward(large, {.grid = {6, 7}})));
}

// An 8 x 8 map becomes one of 8 x 11: 88 tokens, each of which sees 3 x 11.
TEST(NeighborhoodAttention, OperationsAreThoseOfThePaddedMap) {
  EXPECT_EQ(made("windows: [3, 11], fit: pad", kBoth)->flops(64),
            2.0 * 88 * (6 * 18 + 6 * 6) + 4.0 * 88 * 33 * 6);
}

TEST(NeighborhoodAttention, AxesBeyondTheThirdAreRefused) {
  for (const char* slot :
       {"windows: [3, 3, 3, 3]", "dilations: [1, 1, 1, 2]", "strides: [1, 1, 1, 1]"}) {
    EXPECT_THROW(made(slot, kBoth), RequestError) << slot;
  }
}

TEST(NeighborhoodAttention, GradientsEqualCentralDifferences) {
  const auto check = [](const std::string& slot, const AttentionHost& host, const Shape& grid) {
    const auto mechanism = made(slot, host);
    std::vector<Tensor> leaves = {random_tensor({1, grid.numel(), 6}, "x", DType::f64)};
    const std::vector<Module::NamedTensor> parameters = mechanism->named_parameters();
    for (const Module::NamedTensor& p : parameters) leaves.push_back(*p.tensor);
    const std::string wrong = gradcheck(
        [&](const std::vector<Tensor>& now) {
          for (size_t i = 0; i < parameters.size(); ++i) *parameters[i].tensor = now[i + 1];
          AttentionContext context;
          if (!host.causal) context.grid = grid;
          return mechanism->forward(now[0], context);
        },
        leaves);
    EXPECT_EQ(wrong, "") << slot;
  };
  check("window: 3, relative: true", kBoth, {5, 6});
  check("window: 3, dilation: 2, relative: true", kBoth, {6, 7});
  check("windows: [3, 3], dilations: [1, 2], causal_axes: [0], relative: true", kBoth, {4, 6});
  check("window: 3, dilation: 2, relative: true, fit: pad", kBoth, {3, 4});
  check("window: 3, dilation: 2, relative: true", kCausal, {7});
}

// The sheet of FNA: L = 5, k = 3, D = 1, scale 1.
TEST(NeighborhoodAttention, WorkedExample) {
  const auto column = [](std::vector<double> values) {
    Tensor fresh = Tensor::from(values, {1, 1, 5, 1});
    return require_grad(fresh);
  };
  const Tensor q = column({1, 1, 1, 1, 1}), v = column({1, 2, 3, 4, 5});
  const Tensor k = column({0, std::log(2.0), std::log(3.0), 0, 0});
  const AttentionSpec spec{.pattern = AttentionPattern::neighborhood({{5, 3}}),
                           .score = {.scale = 1}};
  const auto [out, lse] = attention(q, k, v, spec);
  const auto expect = [](const Tensor& got, const std::vector<double>& want, double tolerance) {
    const auto values = got.to_vector<double>();
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(values[i], want[i], tolerance) << i;
  };
  expect(out, {14.0 / 6, 14.0 / 6, 17.0 / 6, 3.6, 3.6}, 1e-14);
  expect(lse, {std::log(6.0), std::log(6.0), std::log(6.0), std::log(5.0), std::log(5.0)}, 1e-14);
  backward(out, Tensor::from(std::vector<double>{1, 0, 0, 0, 0}, {1, 1, 5, 1}), true);
  expect(grad(v), {1.0 / 6, 1.0 / 3, 0.5, 0, 0}, 1e-14);
  expect(grad(k), {-2.0 / 9, -1.0 / 9, 1.0 / 3, 0, 0}, 1e-14);
  expect(grad(q), {0.28919, 0, 0, 0, 0}, 5e-6);
  // dLSE adds the probabilities.
  backward(lse, Tensor::from(std::vector<double>{1, 0, 0, 0, 0}, {1, 1, 5}));
  expect(grad(k), {-2.0 / 9 + 1.0 / 6, -1.0 / 9 + 1.0 / 3, 1.0 / 3 + 0.5, 0, 0}, 1e-14);
}

TEST(NeighborhoodAttention, WindowsAndOffsetsOfTheSheets) {
  const auto seen = [](const NaiveAxis& axis, int64_t i) {
    std::vector<int64_t> tokens, entries;
    for (const auto& n : neighbours(axis, i)) {
      tokens.push_back(n.token);
      entries.push_back(n.entry);
    }
    return std::pair(tokens, entries);
  };
  using Lists = std::pair<std::vector<int64_t>, std::vector<int64_t>>;
  EXPECT_EQ(seen({5, 3}, 0), Lists({0, 1, 2}, {2, 3, 4}));
  EXPECT_EQ(seen({5, 3}, 2), Lists({1, 2, 3}, {1, 2, 3}));
  EXPECT_EQ(seen({5, 3}, 4), Lists({2, 3, 4}, {0, 1, 2}));
  EXPECT_EQ(seen({7, 3, 2}, 2), Lists({0, 2, 4}, {1, 2, 3}));
  EXPECT_EQ(seen({7, 3, 2}, 6), Lists({2, 4, 6}, {0, 1, 2}));
  EXPECT_EQ(seen({6, 4}, 3).first, (std::vector<int64_t>{1, 2, 3, 4}));
  // The engine's index of the table says the same of every visible pair.
  for (const auto& [length, window, dilation, causal] :
       {NaiveAxis{5, 3}, NaiveAxis{7, 3, 2}, NaiveAxis{11, 4, 2}}) {
    const auto index = relative_grid({length}, {window}, {dilation});
    for (int64_t i = 0; i < length; ++i)
      for (const auto& n : neighbours(NaiveAxis{length, window, dilation}, i))
        EXPECT_EQ(index->key[static_cast<size_t>(n.token)] - index->query[static_cast<size_t>(i)],
                  n.entry);
  }
}

TEST(NeighborhoodAttention, WindowsAsLargeAsTheMapAreDense) {
  const Tensor x = random_tensor({2, 25, 6}, "x", DType::f64);
  const auto dense = make_attention(Config(), kBoth);
  dense->initialise(1);
  dense->convert(DType::f64);
  testing::randomise(*dense);
  EXPECT_LT(relative_distance(made("window: 5", kBoth)->forward(x, {.grid = {5, 5}}),
                              dense->forward(x, {.grid = {5, 5}})),
            1e-13);
  // With a dilation, within each residue: here rows and columns of equal parity.
  const auto mechanism = made("window: 3, dilation: 2", kBoth);
  const Tensor map = random_tensor({1, 36, 6}, "map", DType::f64);
  const Tensor all = mechanism->forward(map, {.grid = {6, 6}});
  for (int64_t row = 0; row < 2; ++row) {
    for (int64_t column = 0; column < 2; ++column) {
      const auto residue = [&](const Tensor& t) {
        const Tensor grid = reshape(t, {1, 6, 6, 6});
        return reshape(slice(slice(grid, 1, row, 6, 2), 2, column, 6, 2), {1, 9, 6});
      };
      EXPECT_LT(relative_distance(residue(all), dense->forward(residue(map))), 1e-13);
    }
  }
}

TEST(NeighborhoodAttention, InvariancesOfTheDefinition) {
  const auto mechanism = made("window: 3, dilation: 2, relative: true", kBoth);
  auto& own = static_cast<NeighborhoodAttention&>(*mechanism);
  const AttentionContext map{.grid = {16, 16}};
  // A bump in the middle, moved by one pixel or by the dilation.
  const auto bump = [&](int64_t by) {
    const std::vector<double> values =
        random_tensor({3, 3, 6}, "b", DType::f64).to_vector<double>();
    std::vector<double> x(256 * 6, 0.0);
    for (int64_t r = 0; r < 3; ++r)
      for (int64_t c = 0; c < 3; ++c)
        for (int64_t f = 0; f < 6; ++f)
          x[static_cast<size_t>(((6 + r) * 16 + 6 + c + by) * 6 + f)] =
              values[static_cast<size_t>((r * 3 + c) * 6 + f)];
    return mechanism->forward(Tensor::from(x, {1, 256, 6}), map);
  };
  // Far from borders, where every window is centred: rows and columns 4 to 11.
  const auto middle = [](const Tensor& y, int64_t by) {
    const Tensor grid = reshape(y, {1, 16, 16, 6});
    return slice(slice(grid, 1, 4, 12), 2, 4 + by, 10 + by);
  };
  const Tensor still = middle(bump(0), 0);
  EXPECT_LT(relative_distance(middle(bump(1), 1), still), 1e-13);
  EXPECT_LT(relative_distance(middle(bump(2), 2), still), 1e-13);
  // A constant added to a head's table changes nothing.
  const Tensor x = random_tensor({1, 256, 6}, "x", DType::f64);
  const Tensor before = mechanism->forward(x, map);
  own.table = add(own.table.detach(), 3.5);
  EXPECT_LT(relative_distance(mechanism->forward(x, map), before), 1e-12);
}

// arXiv 2209.15001, section 3.2: with a window k, two local layers reach 2 (k - 1) + 1 tokens, a
// local and a dilated one up to k^2.
TEST(NeighborhoodAttention, ReceptiveFieldsOfTwoLayers) {
  constexpr int64_t kSide = 49;
  const AttentionContext map{.grid = {kSide, kSide}};
  const auto reached = [&](int64_t first, int64_t second) {
    const auto one = made(fmt::format("window: 7, dilation: {}", first), kBoth);
    const auto two = made(fmt::format("window: 7, dilation: {}", second), kBoth);
    // Small values: no probability underflows.
    Tensor small = mul(random_tensor({1, kSide * kSide, 6}, "x", DType::f64), 0.1).detach();
    const Tensor x = require_grad(small);
    const Tensor y = two->forward(mul(one->forward(x, map), 0.1), map);
    const int64_t centre = (kSide * kSide) / 2;
    backward(sum(slice(y, 1, centre, centre + 1)));
    const std::vector<double> moved = grad(x).to_vector<double>();
    std::set<int64_t> rows, columns;
    int64_t count = 0;
    for (int64_t t = 0; t < kSide * kSide; ++t) {
      bool any = false;
      for (int64_t c = 0; c < 6; ++c) any |= moved[static_cast<size_t>(t * 6 + c)] != 0.0;
      if (!any) continue;
      rows.insert(t / kSide), columns.insert(t % kSide);
      ++count;
    }
    EXPECT_EQ(rows, columns);
    EXPECT_EQ(count, std::ssize(rows) * std::ssize(columns));
    return rows;
  };
  const auto local = reached(1, 1);
  EXPECT_EQ(local.size(), 13u);
  EXPECT_EQ(*local.rbegin() - *local.begin(), 12);
  const auto mixed = reached(1, 7);
  EXPECT_EQ(mixed.size(), 49u);
  EXPECT_EQ(*mixed.rbegin() - *mixed.begin(), 48);
  const auto sparse = reached(7, 7);
  EXPECT_EQ(sparse.size(), 7u);
  for (const int64_t row : sparse) EXPECT_EQ(row % 7, 24 % 7);
}

}  // namespace
}  // namespace heed::nn
