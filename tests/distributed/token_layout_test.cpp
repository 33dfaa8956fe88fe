#include "distributed/token_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "distributed/ring_schedule.h"

namespace heed {
namespace {

constexpr TokenLayout kLayouts[] = {TokenLayout::contiguous, TokenLayout::zigzag,
                                    TokenLayout::striped};
using Positions = std::vector<int64_t>;

TEST(TokenLayout, IsWhatTheTableSays) {
  EXPECT_EQ(token_positions(TokenLayout::contiguous, 8, 2, 1), (Positions{4, 5, 6, 7}));
  EXPECT_EQ(token_positions(TokenLayout::zigzag, 8, 2, 0), (Positions{0, 1, 6, 7}));
  EXPECT_EQ(token_positions(TokenLayout::zigzag, 8, 2, 1), (Positions{2, 3, 4, 5}));
  EXPECT_EQ(token_positions(TokenLayout::striped, 9, 3, 1), (Positions{1, 4, 7}));
}

TEST(TokenLayout, GivesEveryTokenToOneRank) {
  for (const TokenLayout layout : kLayouts) {
    for (const int64_t ranks : {1, 2, 3, 4, 7}) {
      const int64_t tokens = 2 * ranks * 5;
      Positions all;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const Positions own = token_positions(layout, tokens, ranks, rank);
        EXPECT_TRUE(std::is_sorted(own.begin(), own.end()));
        all.insert(all.end(), own.begin(), own.end());
      }
      std::sort(all.begin(), all.end());
      Positions want(static_cast<size_t>(tokens));
      std::iota(want.begin(), want.end(), 0);
      EXPECT_EQ(all, want);
    }
  }
}

TEST(TokenLayout, RefusesWhatDoesNotShareOut) {
  EXPECT_THROW(check_layout(TokenLayout::contiguous, 10, 4), RequestError);
  EXPECT_THROW(check_layout(TokenLayout::striped, 10, 4), RequestError);
  EXPECT_THROW(check_layout(TokenLayout::zigzag, 12, 4), RequestError);
  check_layout(TokenLayout::contiguous, 12, 4);
  check_layout(TokenLayout::zigzag, 7, 1);
  EXPECT_EQ(token_layout("striped"), TokenLayout::striped);
  EXPECT_THROW(token_layout("zig-zag"), RequestError);
}

/// The sum over steps of the largest number of pairs that any rank computes.
int64_t critical_pairs(TokenLayout layout, int64_t tokens, int ranks) {
  std::vector<int64_t> most(static_cast<size_t>(ranks), 0);
  for (int rank = 0; rank < ranks; ++rank) {
    const auto work =
        ring_work(AttentionPattern::causal(), {1, 1, tokens, tokens}, layout, ranks, rank);
    for (size_t step = 0; step < most.size(); ++step)
      most[step] = std::max(most[step], work[step].pairs);
  }
  return std::accumulate(most.begin(), most.end(), int64_t{0});
}

TEST(RingSchedule, HasTheClosedFormCountsOfCausalWork) {
  EXPECT_EQ(critical_pairs(TokenLayout::contiguous, 48, 4), 510);
  EXPECT_EQ(critical_pairs(TokenLayout::striped, 48, 4), 312);
  EXPECT_EQ(critical_pairs(TokenLayout::zigzag, 48, 4), 294);
}

TEST(RingSchedule, ZigzagBalancesTilesToo) {
  for (const int ranks : {2, 3, 4}) {
    const int64_t tokens = ranks * 2 * 256;
    std::vector<int64_t> pairs, tiles;
    for (int rank = 0; rank < ranks; ++rank) {
      RingWork sum;
      for (const RingWork& step : ring_work(AttentionPattern::causal(), {1, 1, tokens, tokens},
                                            TokenLayout::zigzag, ranks, rank))
        sum.pairs += step.pairs, sum.tiles += step.tiles;
      pairs.push_back(sum.pairs);
      tiles.push_back(sum.tiles);
    }
    for (const auto& counts : {pairs, tiles}) {
      const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
      EXPECT_LE(static_cast<double>(*most), 1.05 * static_cast<double>(*least));
    }
  }
}

TEST(RingSchedule, EndsAChunksWayBehindTheLastThatNeedsIt) {
  // Causal and contiguous: chunk j is for the ranks from j on, and goes round to none before it.
  const RingSchedule causal(AttentionPattern::causal(), {1, 1, 40, 40}, TokenLayout::contiguous, 4);
  for (int chunk = 0; chunk < 4; ++chunk) EXPECT_EQ(causal.last_step(chunk), 3 - chunk);
  EXPECT_TRUE(causal.sends(1, 0));
  EXPECT_FALSE(causal.sends(3, 0));  // its own chunk: rank 0 is before it
  EXPECT_FALSE(causal.sends(3, 2));
  EXPECT_FALSE(causal.holds(0, 1));
  // A window of 6 tokens in chunks of 10: the neighbours alone.
  const RingSchedule window(AttentionPattern::window(5, 0), {1, 1, 40, 40}, TokenLayout::contiguous,
                            4);
  for (int chunk = 0; chunk < 3; ++chunk) EXPECT_EQ(window.last_step(chunk), 1);
  EXPECT_EQ(window.last_step(3), 0);
  // Zigzag and striped chunks are needed all around.
  for (const TokenLayout layout : {TokenLayout::zigzag, TokenLayout::striped}) {
    const RingSchedule all(AttentionPattern::causal(), {1, 1, 40, 40}, layout, 4);
    for (int chunk = 0; chunk < 4; ++chunk) EXPECT_EQ(all.last_step(chunk), 3);
  }
}

}  // namespace
}  // namespace heed
