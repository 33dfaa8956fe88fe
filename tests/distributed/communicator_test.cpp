#include "distributed/communicator.h"

#include <gtest/gtest.h>

#include "tests/core/raises.h"

namespace heed {
namespace {

/// An operation that is done, fails or goes on as the test wants, and tells what was asked of it.
struct Operation {
  bool done = false;
  bool fails = false;
  int waits = 0;
  bool gone = false;

  Work begin() {
    struct State final : Work::State {
      explicit State(Operation* of_test) : own(of_test) {}
      ~State() override { own->gone = true; }
      bool test() override {
        if (own->fails) fail("broken");
        return own->done;
      }
      void wait() override {
        ++own->waits;
        if (own->fails) fail("broken");
        own->done = true;
      }
      Operation* own;
    };
    return Work(std::make_unique<State>(this));
  }
};

TEST(Work, MovedFromIsOneThatIsDone) {
  Operation operation;
  Work first = operation.begin();
  Work second = std::move(first);
  EXPECT_TRUE(first.done());  // NOLINT(bugprone-use-after-move)
  first.wait();
  first.go_on_beside();
  EXPECT_EQ(operation.waits, 0) << "it is the second's";
  EXPECT_FALSE(second.done());
  Work third;
  third = std::move(second);
  EXPECT_TRUE(second.done());  // NOLINT(bugprone-use-after-move)
  Operation later;
  second = later.begin();  // usable again
  second.wait();
  EXPECT_EQ(later.waits, 1);
  third.join(std::move(second));
  Work& same = third;
  third = std::move(same);
  EXPECT_FALSE(third.done());
  third.wait();
  EXPECT_EQ(operation.waits, 1);
}

TEST(Work, DroppingItWaits) {
  Operation operation, before;
  {
    Work work = before.begin();
    work = operation.begin();
    EXPECT_TRUE(before.done) << "what it was";
    EXPECT_TRUE(before.gone);
    EXPECT_FALSE(operation.done);
  }
  EXPECT_TRUE(operation.done);
}

TEST(Work, WhatFailsLeavesNothingUnderWay) {
  Operation first, broken, last;
  first.done = true;
  broken.fails = true;
  const auto all = [&] {
    Work work = first.begin();
    work.join(last.begin());
    work.join(broken.begin());
    return work;
  };
  Work asked = all();
  EXPECT_THROW(asked.done(), Error);
  EXPECT_TRUE(first.gone);
  EXPECT_FALSE(last.gone) << "still held";
  EXPECT_THROW(asked.wait(), Error);
  EXPECT_EQ(last.waits, 1);
  EXPECT_EQ(broken.waits, 1);
  EXPECT_TRUE(asked.done()) << "said once";

  Operation behind;
  {
    Work work = broken.begin();
    work.join(behind.begin());
  }  // an error of what is dropped is nobody's
  EXPECT_TRUE(behind.done);
}

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
