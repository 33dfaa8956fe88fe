#include "core/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <stdexcept>
#include <vector>

namespace heed {
namespace {

class Parallel : public ::testing::Test {
 protected:
  void TearDown() override { set_thread_count(threads_); }
  int threads_ = thread_count();
};

TEST_F(Parallel, EveryElementOnceInChunksThatDoNotDependOnThreads) {
  const std::vector<std::pair<int64_t, int64_t>> cases = {{0, 4}, {1, 4},    {4, 4}, {1001, 7},
                                                          {3, 0}, {5, 1000}, {-2, 1}};
  for (const auto& [count, grain] : cases) {
    const int64_t n = count;
    std::set<std::pair<int64_t, int64_t>> expected;
    for (const int threads : {1, 2, 3, 7}) {
      set_thread_count(threads);
      std::vector<std::atomic<int>> visits(static_cast<size_t>(std::max<int64_t>(n, 0)));
      std::vector<std::atomic<int64_t>> ends(visits.size());
      parallel_for(n, grain, [&](int64_t begin, int64_t end) {
        ends[static_cast<size_t>(begin)] = end;
        for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
      });
      std::set<std::pair<int64_t, int64_t>> chunks;
      for (size_t i = 0; i < visits.size(); ++i) {
        EXPECT_EQ(visits[i], 1);
        if (ends[i] != 0) chunks.insert({static_cast<int64_t>(i), ends[i]});
      }
      if (threads == 1) expected = chunks;
      EXPECT_EQ(chunks, expected) << n << " by " << grain << " on " << threads;
    }
  }
}

TEST_F(Parallel, AnExceptionReachesTheCaller) {
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    EXPECT_THROW(parallel_for(100, 1,
                              [](int64_t begin, int64_t) {
                                if (begin == 57) throw std::runtime_error("57");
                              }),
                 std::runtime_error);
  }
}

TEST_F(Parallel, ANestedLoopRunsOnItsThread) {
  set_thread_count(3);
  std::atomic<int> wrong{0};
  parallel_for(12, 1, [&](int64_t, int64_t) {
    const int outer = thread_index();
    parallel_for(12, 1, [&](int64_t, int64_t) { wrong += thread_index() != outer; });
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_FALSE(in_parallel());
  EXPECT_EQ(thread_index(), 0);
}

TEST_F(Parallel, SumsAreTheSameOnAnyNumberOfThreads) {
  const auto sum = [](int64_t begin, int64_t end) {
    float total = 0;
    for (int64_t i = begin; i < end; ++i) total += 1.0f / static_cast<float>(i + 1);
    return total;
  };
  set_thread_count(1);
  const float one = parallel_sum<float>(100'003, 1000, sum);
  for (const int threads : {2, 3, 5}) {
    set_thread_count(threads);
    EXPECT_EQ(parallel_sum<float>(100'003, 1000, sum), one);
  }
  EXPECT_EQ(parallel_sum<float>(0, 10, sum), 0.0f);
}

}  // namespace
}  // namespace heed
