#include "data/prefetch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <string>

#include "data/batches.h"

namespace heed::data {
namespace {

TEST(Prefetcher, KeepsTheOrderWithAnyNumberOfThreads) {
  for (const int threads : {1, 2, 5}) {
    Prefetcher<int64_t> squares(
        [](int64_t i) {
          if (i % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
          return i * i;
        },
        {.depth = 4, .threads = threads});
    for (int64_t i = 0; i < 200; ++i) {
      ASSERT_EQ(squares.position(), i);
      ASSERT_EQ(squares.next(), i * i);
    }
  }
}

TEST(Prefetcher, MakesNoMoreThanItsDepthAhead) {
  std::atomic<int64_t> made = 0;
  Prefetcher<int64_t> items([&](int64_t i) { return ++made, i; }, {.depth = 3, .threads = 2});
  for (int64_t i = 0; i < 50; ++i) {
    EXPECT_EQ(items.next(), i);
    EXPECT_LE(made, i + 1 + 3);
  }
}

TEST(Prefetcher, SeekGoesOnAsIfNothingHadHappened) {
  Prefetcher<int64_t> items([](int64_t i) { return i; }, {.start = 10, .depth = 5, .threads = 3});
  EXPECT_EQ(items.next(), 10);
  for (int64_t round = 0; round < 100; ++round) {
    items.seek(round * 7 % 50);
    for (int64_t i = 0; i < 3; ++i) ASSERT_EQ(items.next(), round * 7 % 50 + i);
  }
}

TEST(Prefetcher, ThrowsWhatMakeThrewAtItsPlace) {
  Prefetcher<int64_t> items(
      [](int64_t i) {
        if (i == 2) fail("item {} is bad", i);
        return i;
      },
      {.depth = 4, .threads = 2});
  EXPECT_EQ(items.next(), 0);
  EXPECT_EQ(items.next(), 1);
  EXPECT_THROW(items.next(), Error);
  EXPECT_EQ(items.next(), 3) << "later items are unaffected";
}

TEST(Prefetcher, StopsWithItemsUnused) {
  for (int round = 0; round < 50; ++round) {
    Prefetcher<std::string> items([](int64_t i) { return std::string(1000, static_cast<char>(i)); },
                                  {.depth = 8, .threads = 3});
    if (round % 2 == 0) items.next();
  }
}

TEST(Prefetcher, RefusesANonsenseSize) {
  const auto make = [](int64_t i) { return i; };
  EXPECT_THROW(Prefetcher<int64_t>(make, {.depth = 0}), Error);
  EXPECT_THROW(Prefetcher<int64_t>(make, {.threads = 0}), Error);
}

TEST(Prefetcher, ResumesTrainingBatchesExactly) {
  std::vector<TokenId> ids(3000);
  std::iota(ids.begin(), ids.end(), 0);
  const Tokens tokens(ids, 3000);
  for (const std::string sampling : {"random", "epochs"}) {
    const WindowBatches make(tokens, {.batch = 4, .context = 16, .seed = 8, .sampling = sampling});
    Prefetcher<Batch> whole(make, {.threads = 2});
    std::vector<std::vector<int64_t>> expected;
    for (int i = 0; i < 30; ++i) expected.push_back(whole.next().inputs.to_vector<int64_t>());

    Prefetcher<Batch> resumed(make, {.start = 17});
    Prefetcher<Batch> sought(make, {.threads = 3});
    sought.next();
    sought.seek(17);
    for (size_t i = 17; i < 30; ++i) {
      const Batch batch = resumed.next();
      EXPECT_EQ(batch.index, static_cast<int64_t>(i));
      EXPECT_EQ(batch.inputs.to_vector<int64_t>(), expected[i]);
      EXPECT_EQ(sought.next().inputs.to_vector<int64_t>(), expected[i]);
    }
  }
}

}  // namespace
}  // namespace heed::data
