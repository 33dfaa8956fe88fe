#include "data/user_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::HasSubstr;
using Numbers = std::vector<int64_t>;

UserItems read(const std::string& text, const std::string& format = "") {
  const TemporaryFolder folder;
  return read_user_items({.file = folder.write("u.txt", text), .format = format});
}

std::string error_of(const std::string& text, const std::string& format = "") {
  try {
    read(text, format);
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(UserItems, BothFormatsReadAlike) {
  const UserItems lines = read("10 20 30\n20 40 10 20\n7 8\n");
  const UserItems pairs = read("1 10\n2 20\n1 20\n3 7\n2 40\n1 30\n2 10\n2 20\n3 8\n");
  EXPECT_EQ(lines.users, (std::vector<Numbers>{{1, 2, 3}, {2, 4, 1, 2}}));
  EXPECT_EQ(pairs.users, lines.users);
  EXPECT_EQ(lines.items, 4);
  EXPECT_THAT(lines.summary, HasSubstr("2 users (1 too short), 4 items, 7 actions"));
}

TEST(UserItems, ErrorsNameLineAndColumn) {
  EXPECT_THAT(error_of("1 2 3\n4 x 5\n"), HasSubstr("u.txt:2:3: an item must be an integer"));
  EXPECT_THAT(error_of("1 -2 3\n"), HasSubstr("u.txt:1:3"));
  EXPECT_THAT(error_of("1 2\n1 2 3\n", "pairs"), HasSubstr("u.txt:2: 3 numbers"));
  EXPECT_THAT(error_of("1 2\n3 4\n"), HasSubstr("none of 2 users has 3 items"));
}

TEST(UserItems, LeavesOneOutForEachPart) {
  const UserItems data = read("1 2 3 4 5\n6 7 8\n");
  const SequenceOptions options{.batch = 4, .length = 3};
  const SequenceBatch test = evaluation_sequences(data, Part::test, 0, options);
  EXPECT_EQ(test.items.to_vector<int64_t>(), (Numbers{2, 3, 4, 0, 6, 7, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(test.targets.to_vector<int64_t>(), (Numbers{5, 8, kIgnoreTarget, kIgnoreTarget}));
  EXPECT_EQ(test.users.to_vector<int64_t>(), (Numbers{0, 1, -1, -1}));
  EXPECT_EQ(test.count, 2);
  const SequenceBatch validation = evaluation_sequences(data, Part::validation, 0, options);
  EXPECT_EQ(validation.items.to_vector<int64_t>(), (Numbers{1, 2, 3, 0, 0, 6, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(validation.targets.to_vector<int64_t>()[0], 4);
  EXPECT_EQ(validation.targets.to_vector<int64_t>()[1], 7);
}

TEST(UserItems, TrainingSeesNoTargetOfTheOtherParts) {
  const UserItems data = read("1 2 3 4 5\n6 7 8 9\n10 11 12\n");
  std::multiset<int64_t> users;
  for (int64_t index = 0; index < 3; ++index) {
    const SequenceBatch batch =
        train_sequences(data, index, {.batch = 2, .length = 4, .negatives = 3, .seed = 1});
    for (int64_t row = 0; row < 2; ++row) {
      const int64_t user = batch.users.data<int64_t>()[row];
      users.insert(user);
      const Numbers& own = data.users[static_cast<size_t>(user)];
      for (int64_t place = 0; place < 4; ++place) {
        const int64_t at = 4 * row + place;
        const int64_t item = batch.items.data<int64_t>()[at];
        const int64_t target = batch.targets.data<int64_t>()[at];
        ASSERT_EQ(item == 0, target == kIgnoreTarget);
        if (item == 0) continue;
        EXPECT_EQ(target, item + 1) << "items of a user follow each other here";
        EXPECT_LT(target, own[own.size() - 2]);
        for (int64_t n = 0; n < 3; ++n) {
          const int64_t negative = batch.negatives.data<int64_t>()[3 * at + n];
          EXPECT_TRUE(negative >= 1 && negative <= data.items);
          EXPECT_EQ(std::count(own.begin(), own.end(), negative), 0);
        }
      }
    }
  }
  EXPECT_EQ(users, (std::multiset<int64_t>{0, 0, 1, 1, 2, 2})) << "two epochs";
}

TEST(UserItems, NegativesReachEveryUntouchedItem) {
  const UserItems data = read("2 4 6 2\n1 3 5 7\n");
  std::set<int64_t> seen;
  for (int64_t index = 0; index < 40; ++index) {
    const SequenceBatch batch = train_sequences(data, index, {.batch = 2, .length = 1});
    for (int64_t row = 0; row < 2; ++row) {
      if (batch.users.data<int64_t>()[row] == 0) seen.insert(batch.negatives.data<int64_t>()[row]);
    }
  }
  EXPECT_EQ(seen, (std::set<int64_t>{1, 3, 5, 7}));
}

TEST(UserItems, RanksShareABatch) {
  const UserItems data = read("1 2 3 4 5\n6 7 8 9\n10 11 12 1\n2 5 9 1 3\n");
  const SequenceBatch whole = train_sequences(data, 3, {.batch = 4, .length = 3});
  Numbers negatives;
  for (int64_t rank = 0; rank < 2; ++rank) {
    const SequenceBatch part =
        train_sequences(data, 3, {.batch = 4, .length = 3, .slice = {.rank = rank, .world = 2}});
    for (const int64_t item : part.negatives.to_vector<int64_t>()) negatives.push_back(item);
  }
  EXPECT_EQ(negatives, whole.negatives.to_vector<int64_t>());
}

TEST(Popularity, RanksByTrainingCounts) {
  // Training items: 1 twice, 2 once, 3 once. The second user's history hides item 1.
  const UserItems data = read("1 2 4 1\n1 3 1 2\n");
  EXPECT_EQ(item_counts(data), (Numbers{0, 2, 1, 1, 0}));
  const RankingScore top = score_popularity(data, Part::test, 1);
  // The first user's target 1 is in its history; the second's, 2, comes first of what is left.
  EXPECT_DOUBLE_EQ(top.recall, 0.5);
  EXPECT_DOUBLE_EQ(top.ndcg, 0.5);
  EXPECT_DOUBLE_EQ(score_popularity(data, Part::validation, 2).recall, 0.5);
  // The counts are all users', the score is the first one's.
  EXPECT_DOUBLE_EQ(score_popularity(data, Part::test, 1, 1).recall, 0.0);
  EXPECT_DOUBLE_EQ(score_popularity(data, Part::test, 1, 9).recall, 0.5);
}

TEST(UserItems, RealSequences) {
  HEED_REAL_DATA(beauty, "recommend/beauty.txt");
  HEED_REAL_DATA(games, "recommend/amazon-video-games.txt");
  const UserItems data = read_user_items({.file = beauty});
  EXPECT_EQ(data.users.size(), 22363u);
  EXPECT_EQ(data.items, 12101);
  const RankingScore score = score_popularity(data, Part::test, 10);
  EXPECT_GT(score.recall, 10.0 / 12101) << "better than chance";
  EXPECT_LT(score.recall, 0.05);
  EXPECT_GT(read_user_items({.file = games}).users.size(), 10000u);
}

}  // namespace
}  // namespace heed::data
