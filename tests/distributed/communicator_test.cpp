#include "distributed/communicator.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

TEST(SelfCommunicator, IsTheOnlyRank) {
  const auto communicator = self_communicator();
  EXPECT_EQ(communicator->rank(), 0);
  EXPECT_EQ(communicator->size(), 1);
  EXPECT_EQ(communicator->name(), "self");
  communicator->barrier();
}

TEST(SelfCommunicator, ReductionsOfOneRankAreTheValueItself) {
  const auto communicator = self_communicator();
  for (const ReduceOp r : {ReduceOp::sum, ReduceOp::mean, ReduceOp::max, ReduceOp::min}) {
    EXPECT_EQ(communicator->all_reduce_number(2.5, r), 2.5);
  }
  Tensor x = Tensor::from(std::vector<float>{1, 2, 3}, {3});
  communicator->all_reduce(x);
  communicator->broadcast(x);
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{1, 2, 3}));
}

TEST(SelfCommunicator, GatherAndScatterCopy) {
  const auto communicator = self_communicator();
  const Tensor x = Tensor::from(std::vector<float>{1, 2, 3}, {3});
  Tensor gathered = Tensor::zeros({3}), scattered = Tensor::zeros({3});
  communicator->all_gather(x, gathered);
  communicator->reduce_scatter(x, scattered);
  EXPECT_EQ(gathered.to_vector<float>(), x.to_vector<float>());
  EXPECT_EQ(scattered.to_vector<float>(), x.to_vector<float>());
}

TEST(SelfCommunicator, WrongRootsAndShapesAreErrors) {
  const auto communicator = self_communicator();
  Tensor x = Tensor::zeros({3}), wrong = Tensor::zeros({4});
  EXPECT_THROW(communicator->broadcast(x, 1), Error);
  EXPECT_THROW(communicator->all_gather(x, wrong), Error);
}

}  // namespace
}  // namespace heed
