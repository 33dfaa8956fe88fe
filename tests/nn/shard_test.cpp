#include "nn/shard.h"

#include <gtest/gtest.h>

#include "nn/layers/linear.h"
#include "tests/core/raises.h"

namespace heed::nn {
namespace {

Tensor numbers(const Shape& shape) {
  std::vector<float> values;
  for (int64_t i = 0; i < shape.numel(); ++i) values.push_back(static_cast<float>(i));
  return Tensor::from(values, shape);
}

TEST(Shard, PartsOfEveryGroupAndBack) {
  const Tensor whole = numbers({10, 3});
  std::vector<Tensor> parts;
  Shard shard{.dim = 0, .groups = {4, 2, 4}, .parts = 2};
  for (shard.part = 0; shard.part < 2; ++shard.part) parts.push_back(shard_of(whole, shard));
  // Rows 0 1 | 4 | 6 7 and 2 3 | 5 | 8 9.
  const std::vector<float> second = parts[1].to_vector<float>();
  EXPECT_EQ(second, (std::vector<float>{6, 7, 8, 9, 10, 11, 15, 16, 17, 24, 25, 26, 27, 28, 29}));
  EXPECT_EQ(join_shards(parts, shard).to_vector<float>(), whole.to_vector<float>());
}

TEST(Shard, AlongTheLastDimension) {
  const Tensor whole = numbers({2, 6});
  std::vector<Tensor> parts;
  Shard shard{.dim = 1, .groups = {6}, .parts = 3};
  for (shard.part = 0; shard.part < 3; ++shard.part) parts.push_back(shard_of(whole, shard));
  EXPECT_EQ(parts[1].to_vector<float>(), (std::vector<float>{2, 3, 8, 9}));
  EXPECT_EQ(shard.whole_shape(parts[1].shape()), whole.shape());
  EXPECT_EQ(join_shards(parts, shard).to_vector<float>(), whole.to_vector<float>());
}

TEST(Shard, PartsMayDifferByOne) {
  const Tensor whole = numbers({9, 1});
  std::vector<Tensor> parts;
  Shard shard{.dim = 0, .groups = {6, 3}, .parts = 2};
  for (shard.part = 0; shard.part < 2; ++shard.part) parts.push_back(shard_of(whole, shard));
  EXPECT_EQ(parts[0].to_vector<float>(), (std::vector<float>{0, 1, 2, 6}));
  EXPECT_EQ(parts[1].to_vector<float>(), (std::vector<float>{3, 4, 5, 7, 8}));
  EXPECT_EQ(shard.part_size(0), 4);
  EXPECT_EQ(shard.part_size(1), 5);
  EXPECT_EQ(join_shards(parts, shard).to_vector<float>(), whole.to_vector<float>());
}

TEST(Shard, GroupsMustMakeUpTheWhole) {
  EXPECT_THROW(shard_of(numbers({2, 1}), {.dim = 0, .groups = {2}, .parts = 3}), Error);
  EXPECT_THROW(shard_of(numbers({9, 1}), {.dim = 0, .groups = {6, 4}, .parts = 2}), Error);
}

// A module that keeps a part still reads whole weights.
struct Half : Module {
  Half() {
    weight = Tensor::zeros({4, 2});
    parameters({{"weight", weight, {}}});
  }
  void split(int64_t part) {
    keep_shard(weight, {.dim = 0, .groups = {4}, .part = part, .parts = 2});
  }
  Tensor weight;
};

TEST(Shard, AModuleLoadsItsPartOfWholeWeights) {
  Half half;
  half.split(1);
  EXPECT_EQ(half.weight.shape(), (Shape{2, 2}));
  EXPECT_TRUE(requires_grad(half.weight));
  ASSERT_NE(half.named_tensors()[0].shard, nullptr);
  load_state_dict(half, {{"weight", numbers({4, 2})}});
  EXPECT_EQ(half.weight.to_vector<float>(), (std::vector<float>{4, 5, 6, 7}));
  EXPECT_NE(request_error([&] {
              load_state_dict(half, {{"weight", numbers({2, 2})}});
            }).find("[4, 2]"),
            std::string::npos);
}

TEST(Module, WhatAnotherRankHoldsIsForgotten) {
  Linear layer(3, 2);
  layer.let_go();
  EXPECT_TRUE(layer.named_tensors().empty());
  EXPECT_EQ(layer.parameter_count(), 0);
}

}  // namespace
}  // namespace heed::nn
