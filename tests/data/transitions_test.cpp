#include "data/transitions.h"

#include <gtest/gtest.h>

namespace heed::data {
namespace {

TEST(Transitions, CountPairsAtTheDistanceAsked) {
  // The last two of a user are held out: (1, 2, 3, 2) and (2, 3) are what there is.
  const UserItems data{{{1, 2, 3, 2, 4, 4}, {2, 3, 1, 1}, {4, 4, 4}}, 4, ""};
  const ItemTransitions near = item_transitions(data, 1, 50);
  EXPECT_EQ(near.begin, (std::vector<int64_t>{0, 1, 2, 3, 3}));
  EXPECT_EQ(near.next, (std::vector<int64_t>{1, 2, 1}));
  EXPECT_EQ(near.count, (std::vector<double>{1, 2, 1}));
  const ItemTransitions far = item_transitions(data, 2, 50);
  EXPECT_EQ(far.begin, (std::vector<int64_t>{0, 2, 4, 5, 5}));
  EXPECT_EQ(far.next, (std::vector<int64_t>{1, 2, 1, 2, 1}));
  EXPECT_EQ(far.count, (std::vector<double>{1, 1, 1, 2, 1}));
}

TEST(Transitions, AreOfTheLastItems) {
  const UserItems data{{{1, 2, 3, 4, 1, 1}}, 4, ""};
  const ItemTransitions found = item_transitions(data, 1, 2);
  EXPECT_EQ(found.begin, (std::vector<int64_t>{0, 0, 0, 1, 1}));
  EXPECT_EQ(found.next, (std::vector<int64_t>{3}));
}

}  // namespace
}  // namespace heed::data
