#include <gtest/gtest.h>

#include <numeric>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "core/allocator.h"
#include "distributed/sharded_parameters.h"
#include "distributed/sharded_reducer.h"
#include "distributed/world.h"
#include "optim/optimizer.h"

namespace heed {
namespace {

/// Leaves of sizes that no number of ranks divides, filled with their index.
std::vector<ShardLayout::Parameter> leaves(const std::vector<int64_t>& sizes) {
  std::vector<ShardLayout::Parameter> all;
  for (size_t i = 0; i < sizes.size(); ++i) {
    Tensor x = Tensor::full({sizes[i]}, static_cast<double>(i + 1));
    require_grad(x);
    all.push_back({.name = fmt::format("p{}", i), .tensor = x, .unit = static_cast<int64_t>(i)});
  }
  return all;
}

Mesh data_mesh() { return Mesh(world(), {.data = world().size()}); }

TEST(ShardedParameters, EveryElementIsHeldOnce) {
  const auto parameters = leaves({1, 7, 101, 3, 64});
  for (const int64_t ranks : {1, 2, 3, 5, 8}) {
    for (const int64_t bytes : {0, 4, 300}) {
      const ShardLayout layout(parameters, ranks, bytes);
      for (size_t i = 0; i < parameters.size(); ++i) {
        int64_t next = 0;
        for (int64_t rank = 0; rank < ranks; ++rank) {
          const ElementRange held = layout.held(i, rank);
          if (held.size() == 0) continue;
          EXPECT_EQ(held.begin, next);
          EXPECT_GE(layout.place_in_chunk(i, rank), 0);
          EXPECT_LE(layout.place_in_chunk(i, rank) + held.size(),
                    layout.buckets()[layout.bucket_of(i)].chunk);
          next = held.end;
        }
        EXPECT_EQ(next, parameters[i].tensor.numel());
      }
    }
  }
}

// One step: gradients of several passes, a parameter that one rank uses, one that none does.
TEST(ShardedParameters, SharesOfGradientsAreSumsOverRanksAndPasses) {
  Mesh mesh = data_mesh();
  const auto gathers = mesh.data().split(0, world().rank());
  const std::vector<int64_t> sizes = {13, 5, 8, 31};
  for (const Sharding sharding : {Sharding::optimizer, Sharding::gradients}) {
    const auto parameters = leaves(sizes);
    ShardedParameters sharded(sharding, parameters, mesh, *gathers, /*bucket_bytes=*/100);
    ShardedReducer reducer(sharded.layout(), mesh);
    for (int pass = 0; pass < 2; ++pass) {
      if (pass == 1 || sharding == Sharding::gradients) reducer.begin();
      Tensor loss = sum(mul(parameters[0].tensor, Tensor::full({}, 1.0 + world().rank())));
      loss = add(loss, sum(mul(parameters[3].tensor, parameters[3].tensor)));
      if (world().rank() == world().size() - 1) loss = add(loss, sum(parameters[1].tensor));
      backward(loss);
      reducer.finish();
    }
    const std::vector<Tensor> shares = reducer.take();
    const double n = world().size();
    const std::vector<double> want = {2 * n * (n + 1) / 2, 2, 0, 2 * n * 2 * 4};
    for (size_t i = 0; i < sizes.size(); ++i) {
      EXPECT_FALSE(grad(parameters[i].tensor).defined());
      const int64_t held = sharded.held(i).size();
      EXPECT_EQ(sharded.shares()[i].defined(), held > 0);
      ASSERT_EQ(shares[i].defined(), held > 0 && i != 2) << i;
      if (!shares[i].defined()) continue;
      EXPECT_EQ(shares[i].to_vector<double>(),
                std::vector<double>(static_cast<size_t>(held), want[i]));
    }
  }
}

// A replica is cut along the data axis and summed over all ranks, a tensor shard over its own two.
TEST(ShardedParameters, SharesAreSummedAlongTheOtherAxesOfReplicasToo) {
  if (world().size() != 4) GTEST_SKIP() << "a mesh of 2 x 2 takes 4 ranks";
  Mesh mesh(world(), {.data = 2, .tensor = 2});
  const auto gathers = mesh.data().split(0, mesh.data().rank());
  auto parameters = leaves({13, 5, 8});
  for (auto& parameter : parameters) parameter.unit = 0;
  parameters[0].copies = parameters[2].copies = {.tensor = true};
  ShardedParameters sharded(Sharding::gradients, parameters, mesh, *gathers);
  ASSERT_EQ(sharded.layout().buckets().size(), 2u);
  ShardedReducer reducer(sharded.layout(), mesh);
  reducer.begin();
  const Tensor factor = Tensor::full({}, 1.0 + world().rank());
  Tensor loss = sum(mul(parameters[0].tensor, factor));
  loss = add(loss, sum(mul(parameters[1].tensor, factor)));
  if (world().rank() == 3) loss = add(loss, sum(parameters[2].tensor));
  backward(loss);
  reducer.finish();
  const std::vector<Tensor> shares = reducer.take();
  // Ranks 0 and 2 hold one part of the second parameter, 1 and 3 the other.
  const std::vector<double> want = {1 + 2 + 3 + 4, mesh.place().tensor == 0 ? 4.0 : 6.0, 1};
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_EQ(shares[i].defined(), sharded.held(i).size() > 0) << i;
    if (!shares[i].defined()) continue;
    EXPECT_EQ(shares[i].to_vector<double>(),
              std::vector<double>(static_cast<size_t>(sharded.held(i).size()), want[i]));
  }
}

// Each rank moves its shares; gather() gives every rank every value.
TEST(ShardedParameters, GatherBringsEveryRanksValues) {
  Mesh mesh = data_mesh();
  const auto gathers = mesh.data().split(0, world().rank());
  for (const Sharding sharding : {Sharding::optimizer, Sharding::gradients, Sharding::parameters}) {
    const auto parameters = leaves({13, 5, 8, 31});
    ShardedParameters sharded(sharding, parameters, mesh, *gathers, /*bucket_bytes=*/100);
    for (size_t i = 0; i < parameters.size(); ++i) {
      const Tensor& share = sharded.shares()[i];
      if (!share.defined()) continue;
      float* values = share.data<float>();
      for (int64_t k = 0; k < share.numel(); ++k) {
        EXPECT_EQ(values[k], static_cast<float>(i + 1));
        values[k] = static_cast<float>(100 * i + sharded.held(i).begin + k);
      }
    }
    sharded.gather();
    sharded.release(0);  // they stay
    for (size_t i = 0; i < parameters.size(); ++i) {
      const std::vector<float> values = parameters[i].tensor.to_vector<float>();
      for (size_t k = 0; k < values.size(); ++k) EXPECT_EQ(values[k], 100 * i + k);
    }
    sharded.release();
  }
}

TEST(ShardedParameters, UnitsComeAndGo) {
  Mesh mesh = data_mesh();
  const auto gathers = mesh.data().split(0, world().rank());
  const auto parameters = leaves({1000, 2000, 3000});
  const int64_t all = allocator::stats().in_use_bytes;
  {
    ShardedParameters sharded(Sharding::parameters, parameters, mesh, *gathers);
    const int64_t shares = allocator::stats().in_use_bytes;
    // 24 KB of whole parameters went, this rank's shares came: at most an eighth more than that for
    // the allocator's size classes.
    const double own = 24000.0 / world().size();
    EXPECT_NEAR(static_cast<double>(shares - all), own - 24000.0, own / 8 + 24000.0 / 8);
    EXPECT_EQ(parameters[1].tensor.storage()->data, nullptr);
    sharded.require(1);
    EXPECT_EQ(parameters[1].tensor.to_vector<float>(), std::vector<float>(2000, 2.0f));
    EXPECT_EQ(parameters[0].tensor.storage()->data, nullptr);
    sharded.prefetch(2);
    sharded.release(1);
    EXPECT_EQ(parameters[1].tensor.storage()->data, nullptr);
    sharded.require(2);
    sharded.require(2);  // there already
    EXPECT_EQ(parameters[2].tensor.to_vector<float>(), std::vector<float>(3000, 3.0f));
    sharded.prefetch(0);  // nobody comes to want it
    sharded.release();
    EXPECT_EQ(allocator::stats().in_use_bytes, shares);
  }
  EXPECT_NE(parameters[0].tensor.storage()->data, nullptr);
}

// The optimiser's state falls as 1 / ranks, and a step sends what the algorithms need at least:
// n (N - 1) / N elements for the reduce-scatter and as many for the gather, n padded to N equal
// chunks; beside it each chunk carries a count for each parameter of its bucket.
TEST(ShardedParameters, BytesOfStateAndOfTraffic) {
  Mesh mesh = data_mesh();
  const auto gathers = mesh.data().split(0, world().rank());
  const std::vector<int64_t> sizes = {1000, 40, 3000, 7};
  const int64_t n = world().size(),
                elements = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  auto parameters = leaves(sizes);
  for (auto& parameter : parameters) parameter.unit = 0;
  ShardedParameters sharded(Sharding::gradients, parameters, mesh, *gathers);
  ShardedReducer reducer(sharded.layout(), mesh);
  const int64_t chunk = (elements + n - 1) / n;

  std::vector<optim::Parameter> shares;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sharded.shares()[i].defined()) {
      shares.push_back({.name = parameters[i].name, .tensor = sharded.shares()[i]});
    }
  }
  const auto optimizer = optim::make_optimizer_of(optim::OptimizerOptions{}, shares);
  const auto counter = static_cast<int64_t>(sizeof(int64_t));
  EXPECT_LE(optimizer->state_bytes() - counter, 2 * 4 * chunk);  // two moments
  EXPECT_GT(optimizer->state_bytes() - counter, 2 * 4 * (chunk - n));

  for (int passes = 1; passes <= 3; ++passes) {  // each pass of an accumulated step sends
    const int64_t before = mesh.data().bytes_sent();
    for (int pass = 0; pass < passes; ++pass) {
      reducer.begin();
      Tensor loss = Tensor::zeros({});
      for (const auto& parameter : parameters) loss = add(loss, sum(parameter.tensor));
      backward(loss);
      reducer.finish();
    }
    reducer.take();
    EXPECT_EQ(mesh.data().bytes_sent() - before, passes * 4 * (chunk + 4) * (n - 1));
  }
  const int64_t before = gathers->bytes_sent();
  sharded.gather();
  EXPECT_EQ(gathers->bytes_sent() - before, 4 * chunk * (n - 1));
}

}  // namespace
}  // namespace heed
