#include "data/synthetic_users.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace heed::data {
namespace {

TEST(SyntheticUsers, AreTheSameForTheSameSeed) {
  const SyntheticUserOptions options{.users = 50, .seed = 4};
  EXPECT_EQ(make_user_items(options).users, make_user_items(options).users);
  EXPECT_NE(make_user_items(options).users, make_user_items({.users = 50, .seed = 5}).users);
  // Users do not depend on how many there are.
  const auto few = make_user_items({.users = 10, .seed = 4}).users;
  const auto all = make_user_items(options).users;
  EXPECT_TRUE(std::equal(few.begin(), few.end(), all.begin()));
}

TEST(SyntheticUsers, HaveEachItemOnceAndLengthsInRange) {
  const UserItems data = make_user_items({});
  double total = 0.0;
  for (const auto& user : data.users) {
    EXPECT_GE(user.size(), 5u);
    EXPECT_LE(user.size(), 30u);
    EXPECT_EQ(std::set<int64_t>(user.begin(), user.end()).size(), user.size());
    EXPECT_GE(*std::min_element(user.begin(), user.end()), 1);
    EXPECT_LE(*std::max_element(user.begin(), user.end()), 320);
    total += static_cast<double>(user.size());
  }
  // 5 + a geometric number of mean 6 and deviation sqrt(42), cut at 30; five standard errors.
  EXPECT_NEAR(total / 1500.0, 11.0 - 6.0 * std::pow(6.0 / 7.0, 25.0), 5.0 * std::sqrt(42.0 / 1500));
}

TEST(SyntheticUsers, FollowTasteAndNoiseHaveTheirShares) {
  // Sequences short against a cluster, so that few draws are repeated.
  const UserItems data = make_user_items({.users = 4000,
                                          .items = 4000,
                                          .clusters = 4,
                                          .shortest = 8,
                                          .longest = 8,
                                          .mean_length = 8.0,
                                          .follow = 0.5,
                                          .taste = 0.5});
  int64_t pairs = 0, inside = 0;
  std::map<int64_t, std::map<int64_t, int64_t>> next;
  for (const auto& user : data.users) {
    for (size_t i = 1; i < user.size(); ++i) {
      ++pairs;
      inside += (user[i] - 1) / 1000 == (user[0] - 1) / 1000;
      ++next[user[i - 1]][user[i]];
    }
  }
  // Without noise a user leaves the cluster only when two draws in a row are items they have.
  EXPECT_GT(inside, pairs - pairs / 1000);
  // The two commonest followers of an item are its successors.
  int64_t followed = 0, seen = 0;
  for (const auto& [item, followers] : next) {
    std::vector<int64_t> counts;
    for (const auto& entry : followers) counts.push_back(entry.second);
    std::sort(counts.rbegin(), counts.rend());
    int64_t all = 0;
    for (const int64_t count : counts) all += count;
    if (all < 50) continue;
    seen += all;
    followed += counts[0] + (counts.size() > 1 ? counts[1] : 0);
  }
  ASSERT_GT(seen, 1000);
  EXPECT_NEAR(static_cast<double>(followed) / static_cast<double>(seen), 0.5, 0.06);
}

}  // namespace
}  // namespace heed::data
