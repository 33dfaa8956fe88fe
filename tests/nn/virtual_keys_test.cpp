// Keys beyond the border of a map, by the logits of their offsets.
#include "nn/attention/virtual_keys.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nn/attention/grid_attention.h"
#include "nn/attention/registry.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::random_tensor;

/// The one slot of the window on an axis: the key's place and its entry.
struct Slot {
  int64_t key, entry;
  bool on(int64_t length) const { return key >= 0 && key < length; }
};

std::vector<Slot> slots(const HaloAxis& axis, int64_t query) {
  const int64_t width = axis.block + 2 * axis.halo;
  const int64_t first = query / axis.block * axis.block - axis.halo;
  std::vector<Slot> all;
  for (int64_t key = first; key < first + width; ++key)
    all.push_back({key, width - 1 + key - query});
  return all;
}

TEST(VirtualKeys, LogitsAreThoseOfTheOffsetsBeyondTheMap) {
  const std::vector<HaloAxis> axes = {{.length = 5, .block = 2, .halo = 1},
                                      {.length = 3, .block = 2, .halo = 2}};
  for (const int64_t globals : {0, 2}) {
    const int64_t rows = globals + 15;
    const Tensor down = random_tensor({2, 3, rows, 7}, "rows", DType::f64);
    const Tensor right = random_tensor({2, 3, rows, 11}, "columns", DType::f64);
    const auto y = down.to_vector<double>(), x = right.to_vector<double>();
    const auto got = virtual_key_logits({down, right}, axes, globals).to_vector<double>();
    for (int64_t row = 0; row < 6 * rows; ++row) {
      const int64_t token = row % rows - globals;
      double sum = 0.0;
      if (token >= 0) {
        for (const Slot& a : slots(axes[0], token / 3)) {
          for (const Slot& b : slots(axes[1], token % 3)) {
            if (a.on(5) && b.on(3)) continue;
            sum += std::exp(y[static_cast<size_t>(row * 7 + a.entry)] +
                            x[static_cast<size_t>(row * 11 + b.entry)]);
          }
        }
      }
      const double want = std::log(sum);  // -infinity for global tokens
      if (std::isinf(want))
        EXPECT_EQ(got[static_cast<size_t>(row)], want);
      else
        EXPECT_NEAR(got[static_cast<size_t>(row)], want, 1e-14 * (4 + std::abs(want)));
    }
  }
}

TEST(VirtualKeys, WindowsOnTheMapHaveNone) {
  const auto logits = virtual_key_logits({random_tensor({1, 1, 8, 7}, "a", DType::f64)},
                                         {{.length = 8, .block = 4, .halo = 0}}, 0);
  for (const double logit : logits.to_vector<double>())
    EXPECT_EQ(logit, -std::numeric_limits<double>::infinity());
}

/// Halo attention of one channel over a 4 x 4 map whose pixels hold their index; blocks of 2, halo
/// 1, `query` and `key` the projections' weights and `offsets` each axis's table.
std::vector<double> halo_of_indices(const char* border, double query, double key,
                                    const std::vector<double>& offsets) {
  const AttentionHost host{.dim = 1, .heads = 1, .causal = false, .bias = false};
  HaloAttention halo(host, {.block = 2, .halo = 1, .border = border, .relative = true, .axes = 2});
  halo.initialise(1);
  halo.convert(DType::f64);
  const auto set = [](const Tensor& to, const std::vector<double>& values) {
    ASSERT_EQ(to.numel(), static_cast<int64_t>(values.size()));
    std::copy(values.begin(), values.end(), to.data<double>());
  };
  for (const auto& parameter : halo.named_parameters()) {
    if (parameter.name == "qkv.weight") set(*parameter.tensor, {query, key, 1.0});
    if (parameter.name == "out.weight") set(*parameter.tensor, {1.0});
  }
  for (const Tensor& table : halo.tables) set(table, offsets);
  std::vector<double> indices;
  for (int i = 0; i < 16; ++i) indices.push_back(i);
  return halo.forward(Tensor::from(indices, {1, 16, 1}), {.grid = {4, 4}}).to_vector<double>();
}

TEST(VirtualKeys, AreSlotsOfTheWindowsAverage) {
  // No queries: every slot weighs the same, and those beyond the map hold 0.
  const std::vector<double> offsets = {0.3, -0.2, 0.5, 0.1, -0.4, 0.7, -0.6};
  const auto with = halo_of_indices("virtual", 0.0, 1.0, offsets);
  const auto without = halo_of_indices("crop", 0.0, 1.0, offsets);
  EXPECT_DOUBLE_EQ(with[0], 45.0 / 16);  // block (0, 0): 0 1 2 4 5 6 8 9 10
  EXPECT_DOUBLE_EQ(without[0], 45.0 / 9);
  EXPECT_DOUBLE_EQ(with[15], 90.0 / 16);  // block (1, 1): 5 6 7 9 10 11 13 14 15
  EXPECT_DOUBLE_EQ(without[15], 90.0 / 9);
}

TEST(VirtualKeys, TakePartWithTheLogitOfTheirOffset) {
  const double query = 0.2, key = 0.05;
  const std::vector<double> offsets = {0.3, -0.2, 0.5, 0.1, -0.4, 0.7, -0.6};
  const auto got = halo_of_indices("virtual", query, key, offsets);
  const HaloAxis axis{.length = 4, .block = 2, .halo = 1};
  for (int64_t i = 0; i < 16; ++i) {
    const double q = query * static_cast<double>(i);
    double sum = 0.0, weighted = 0.0;
    for (const Slot& a : slots(axis, i / 4)) {
      for (const Slot& b : slots(axis, i % 4)) {
        const double pixel = a.on(4) && b.on(4) ? static_cast<double>(a.key * 4 + b.key) : 0.0;
        const double weight = std::exp(q * (key * pixel + offsets[static_cast<size_t>(a.entry)] +
                                            offsets[static_cast<size_t>(b.entry)]));
        sum += weight;
        weighted += weight * pixel;
      }
    }
    EXPECT_NEAR(got[static_cast<size_t>(i)], weighted / sum, 1e-13 * weighted / sum) << i;
  }
}

TEST(VirtualKeys, BatchesOfLengthsAreRefused) {
  const AttentionHost host{.dim = 2, .heads = 1, .causal = false};
  HaloAttention halo(host, {.block = 2, .halo = 1, .relative = true, .axes = 1});
  halo.initialise(1);
  const AttentionContext context{.lengths = Tensor::from(std::vector<int64_t>{5}, {1})};
  EXPECT_THROW(halo.forward(random_tensor({1, 8, 2}, "x"), context), Error);
}

}  // namespace
}  // namespace heed::nn
