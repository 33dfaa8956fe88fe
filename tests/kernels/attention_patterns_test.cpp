// Patterns by themselves: their rules against tables of the papers, and the tile plan against them.
#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "kernels/attention/patterns/named.h"
#include "kernels/attention/tile_plan.h"
#include "tests/kernels/attention_random_spec.h"

namespace heed {
namespace {

using kernels::attn::kTileUnit;
using kernels::attn::TilePlan;
using testing::random_pattern;

/// The keys that query i sees.
std::vector<int64_t> keys_of(const AttentionPattern& pattern, int64_t i, int64_t keys) {
  std::vector<int64_t> seen;
  for (int64_t j = 0; j < keys; ++j)
    if (pattern.allowed(0, 0, i, j)) seen.push_back(j);
  return seen;
}

using Keys = std::vector<int64_t>;

TEST(AttentionPattern, NeighborhoodWindowsAreShiftedInwards) {
  // FNA, arXiv 2403.04690: every query has exactly `window` keys.
  const auto plain = AttentionPattern::neighborhood({{.length = 5, .window = 3}});
  const Keys want[] = {{0, 1, 2}, {0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {2, 3, 4}};
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(keys_of(plain, i, 5), want[i]);
  const auto causal = AttentionPattern::neighborhood({{.length = 5, .window = 3, .causal = true}});
  const Keys past[] = {{0}, {0, 1}, {0, 1, 2}, {1, 2, 3}, {2, 3, 4}};
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(keys_of(causal, i, 5), past[i]);
  const auto dilated = AttentionPattern::neighborhood({{.length = 7, .window = 3, .dilation = 2}});
  const Keys apart[] = {{0, 2, 4}, {1, 3, 5}, {0, 2, 4}, {1, 3, 5},
                        {2, 4, 6}, {1, 3, 5}, {2, 4, 6}};
  for (int64_t i = 0; i < 7; ++i) EXPECT_EQ(keys_of(dilated, i, 7), apart[i]);
  const auto even = AttentionPattern::neighborhood({{.length = 6, .window = 4}});
  const Keys four[] = {{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3},
                       {1, 2, 3, 4}, {2, 3, 4, 5}, {2, 3, 4, 5}};
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(keys_of(even, i, 6), four[i]);
}

TEST(AttentionPattern, QueriesOfAStrideShareTheirLeadersWindow) {
  // GNA, arXiv 2504.16922: stride = window and window | length is blocked attention.
  const auto blocked = AttentionPattern::neighborhood({{.length = 8, .window = 4, .stride = 4}});
  for (int64_t i = 0; i < 8; ++i)
    EXPECT_EQ(keys_of(blocked, i, 8), i < 4 ? (Keys{0, 1, 2, 3}) : (Keys{4, 5, 6, 7}));
  for (int64_t length = 2; length <= 12; ++length) {
    for (int64_t window = 2; window <= length; ++window) {
      for (int64_t stride = 1; stride <= window; ++stride) {
        for (const bool causal : {false, true}) {
          const auto pattern =
              AttentionPattern::neighborhood({{length, window, 1, stride, causal}});
          for (int64_t i = 0; i < length; ++i) {
            const Keys seen = keys_of(pattern, i, length);
            ASSERT_TRUE(pattern.allowed(0, 0, i, i));
            if (!causal) {
              ASSERT_EQ(static_cast<int64_t>(seen.size()), window);
              ASSERT_EQ(seen, keys_of(pattern, i / stride * stride, length));
            } else {
              ASSERT_EQ(seen.back(), i);
              ASSERT_LE(static_cast<int64_t>(seen.size()), window);
            }
          }
        }
      }
    }
  }
}

TEST(AttentionPattern, NeighborhoodOnAGridIsTheProductOfItsAxes) {
  const auto grid = AttentionPattern::neighborhood(
      {{.length = 5, .window = 3}, {.length = 6, .window = 2, .dilation = 3}});
  const auto rows = AttentionPattern::neighborhood({{.length = 5, .window = 3}});
  const auto columns = AttentionPattern::neighborhood({{.length = 6, .window = 2, .dilation = 3}});
  for (int64_t i = 0; i < 30; ++i)
    for (int64_t j = 0; j < 30; ++j)
      ASSERT_EQ(grid.allowed(0, 0, i, j),
                rows.allowed(0, 0, i / 6, j / 6) && columns.allowed(0, 0, i % 6, j % 6));
  EXPECT_EQ(kernels::attention_pairs(grid, {1, 1, 30, 30}), 30 * 6);
}

TEST(AttentionPattern, ShiftedWindowsBeginAfterTheShift) {
  const auto plain = AttentionPattern::windows({8}, {4});
  EXPECT_EQ(keys_of(plain, 5, 8), (Keys{4, 5, 6, 7}));
  const auto shifted = AttentionPattern::windows({8}, {4}, {2});
  EXPECT_EQ(keys_of(shifted, 1, 8), (Keys{0, 1}));
  EXPECT_EQ(keys_of(shifted, 3, 8), (Keys{2, 3, 4, 5}));
  EXPECT_EQ(keys_of(shifted, 7, 8), (Keys{6, 7}));
  EXPECT_EQ(kernels::attention_pairs(AttentionPattern::windows({4, 4}, {2, 2}), {1, 1, 16, 16}),
            16 * 4);
}

TEST(AttentionPattern, HaloBordersCropShiftOrCountAsVirtualKeys) {
  // HaloNet, arXiv 2103.12731: 4 x 4 map, block 2, halo 1.
  const std::vector<HaloAxis> axes(2, {.length = 4, .block = 2, .halo = 1});
  const auto crop = AttentionPattern::halo(axes, Border::crop);
  EXPECT_EQ(keys_of(crop, 0, 16), (Keys{0, 1, 2, 4, 5, 6, 8, 9, 10}));
  EXPECT_EQ(keys_of(crop, 15, 16), (Keys{5, 6, 7, 9, 10, 11, 13, 14, 15}));
  EXPECT_EQ(crop.rule()->virtual_keys(0), 0);
  const auto counted = AttentionPattern::halo(axes, Border::virtual_keys);
  EXPECT_EQ(keys_of(counted, 0, 16), keys_of(crop, 0, 16));
  EXPECT_EQ(counted.rule()->virtual_keys(0), 16 - 9);
  const auto shift = AttentionPattern::halo(axes, Border::shift);
  EXPECT_EQ(keys_of(shift, 0, 16).size(), 16u);
  // Every second query: 2 x 2 of them see what the pixels at even places see.
  const std::vector<HaloAxis> strided(2, {.length = 4, .block = 2, .halo = 1, .stride = 2});
  const auto fewer = AttentionPattern::halo(strided, Border::crop);
  EXPECT_EQ(keys_of(fewer, 3, 16), keys_of(crop, 10, 16));
}

TEST(AttentionPattern, PowerOfTwoBlocksVisitTheListedOnes) {
  // PowerAttention, arXiv 2503.03588: block 256, window 5, one sink block.
  const int64_t blocks = 128;
  const auto power = [](int64_t i, int64_t j) {
    const int64_t d = i - j;
    return d >= 0 && (j < 1 || d < 5 || (d & (d - 1)) == 0);
  };
  const auto pattern = AttentionPattern::blocks(1, blocks, blocks, power);
  EXPECT_EQ(keys_of(pattern, 100, blocks), (Keys{0, 36, 68, 84, 92, 96, 97, 98, 99, 100}));
  EXPECT_EQ(keys_of(pattern, 8, blocks), (Keys{0, 4, 5, 6, 7, 8}));
  EXPECT_EQ(kernels::attention_pairs(pattern, {1, 1, blocks, blocks}), 1141);
}

TEST(AttentionPattern, RegionsCountKeysFromTheirOwnFirst) {
  const auto pattern = AttentionPattern::regions(
      {{3, AttentionPattern::prefix(2)}, {4, AttentionPattern::causal()}, {2, {}}});
  EXPECT_EQ(keys_of(pattern, 1, 9), (Keys{0, 1, 3, 4, 7, 8}));
}

TEST(AttentionPattern, GlobalTokensComeBeforeTheOthers) {
  const auto pattern = AttentionPattern::globals(2, AttentionPattern::windows({2, 2}, {1, 2}));
  EXPECT_EQ(keys_of(pattern, 1, 6), (Keys{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(keys_of(pattern, 3, 6), (Keys{0, 1, 2, 3}));
  EXPECT_EQ(keys_of(pattern, 4, 6), (Keys{0, 1, 4, 5}));
  // The map's tiles keep their places: 64 windows of 64 pixels stay full tiles.
  const auto map = AttentionPattern::windows({64, 64}, {8, 8});
  const TilePlan alone(map, {1, 1, 4096, 4096});
  const TilePlan behind(AttentionPattern::globals(1, map), {1, 1, 4097, 4097});
  EXPECT_EQ(alone.full_tiles(), 64);
  EXPECT_GE(behind.full_tiles(), 64);
}

TEST(AttentionPattern, RandomSourcesAreTheSameForAllQueries) {
  // Information pathways, arXiv 2306.05235: k sources, and itself.
  const RandomKey key{5, 6, 7};
  const auto pattern = random_sources(300, 40, key);
  Keys common;  // what some other query sees
  for (int64_t j = 0; j < 300; ++j)
    if (pattern.allowed(0, 0, (j + 1) % 300, j)) common.push_back(j);
  EXPECT_EQ(common.size(), 40u);
  for (int64_t i = 0; i < 300; ++i) {
    Keys want = common;
    if (std::find(want.begin(), want.end(), i) == want.end()) want.push_back(i);
    std::sort(want.begin(), want.end());
    EXPECT_EQ(keys_of(pattern, i, 300), want) << i;
  }
  const int64_t pairs = kernels::attention_pairs(pattern, {1, 1, 300, 300});
  EXPECT_EQ(pairs, 300 * 40 + 300 - 40);
  EXPECT_EQ(random_sources(300, 40, key).text(), pattern.text());
  EXPECT_NE(random_sources(300, 40, {5, 6, 8}).text(), pattern.text());
  // Kept keys fill whole tiles.
  const TilePlan plan(random_sources(1024, 256, key), {1, 1, 1024, 1024});
  EXPECT_EQ(plan.full_tiles(), 16 * 4);
  EXPECT_EQ(plan.partial_tiles(), 12);
}

TEST(AttentionPattern, BlockWindowsSeeTheirNeighbours) {
  const auto local = AttentionPattern::causal() & block_window(11, 3, 1, 0);
  EXPECT_EQ(keys_of(local, 1, 11), (Keys{0, 1}));
  EXPECT_EQ(keys_of(local, 5, 11), (Keys{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(keys_of(local, 9, 11), (Keys{6, 7, 8, 9}));
  EXPECT_EQ(keys_of(block_window(11, 3, 0, 1), 7, 11), (Keys{6, 7, 8, 9, 10}));
}

TEST(AttentionPattern, CentredTapsBeyondTheBorderCountAsVirtualKeys) {
  for (const int64_t dilation : {1, 2, 3}) {
    for (const int64_t pool : {1, 2}) {
      const int64_t keys = 7, taps = 5;
      const auto pattern = centred_taps({{keys, taps, dilation, pool}});
      for (int64_t i = 0; i < keys * pool; ++i) {
        Keys want;
        for (int64_t u = -2; u <= 2; ++u) {
          const int64_t j = i / pool + u * dilation;
          if (j >= 0 && j < keys) want.push_back(j);
        }
        EXPECT_EQ(keys_of(pattern, i, keys), want) << dilation << " " << pool << " " << i;
        EXPECT_EQ(pattern.rule()->virtual_keys(i), taps - static_cast<int64_t>(want.size()));
      }
    }
  }
}

TEST(AttentionPattern, PicturesShowPairs) {
  EXPECT_EQ(picture(AttentionPattern::causal(), {1, 1, 3, 3}), "#..\n##.\n###\n");
  EXPECT_EQ(picture(AttentionPattern::causal(), {1, 1, 4, 4}, 0, 0, 2), "+.\n#+\n");
}

TEST(AttentionPattern, WrongExtentsAreNamed) {
  const auto expect_error = [](const AttentionPattern& pattern, const PatternExtents& e) {
    EXPECT_THROW(kernels::attn::tile_plan(pattern, e), Error);
  };
  expect_error(AttentionPattern::windows({4}, {2}), {1, 1, 5, 4});
  expect_error(AttentionPattern::segments({0, 0, 1}), {1, 1, 4, 4});
  expect_error(AttentionPattern::lengths({1, 2}), {3, 1, 4, 4});
  expect_error(AttentionPattern::per_head({{}, {}}), {1, 3, 4, 4});
  expect_error(AttentionPattern::regions({{3, {}}}), {1, 1, 4, 4});
  expect_error(AttentionPattern::indices({0, 9}, 1, 1, 2, 1), {1, 1, 2, 4});
  EXPECT_THROW(AttentionPattern::neighborhood({{.length = 5, .window = 3, .dilation = 2}}), Error);
}

/// Every pair by way of the plan.
void expect_plan_matches(const AttentionPattern& pattern, const PatternExtents& e, uint64_t seed) {
  const TilePlan plan(pattern, e);
  int64_t pairs = 0;
  for (int64_t b = 0; b < e.batch; ++b) {
    for (int64_t h = 0; h < e.heads; ++h) {
      for (int64_t block = 0; block < plan.blocks(); ++block) {
        std::set<std::pair<int64_t, int64_t>> seen;
        for (const auto& run : plan.runs(b, h, block)) {
          for (int64_t q = 0; q < kTileSide && block * kTileSide + q < e.queries; ++q) {
            for (int64_t k = run.first * kTileSide;
                 k < std::min<int64_t>(run.last * kTileSide, e.keys); ++k) {
              const auto row = static_cast<size_t>(k % kTileSide);
              const bool bit = run.mask < 0 || ((plan.mask(run.mask).bits[row] >> q) & 1);
              if (bit) {
                seen.insert({plan.query_token(block * kTileSide + q), plan.key_token(k)});
                if (run.mask < 0) continue;
                const auto unit = 4 * (row / kTileUnit) + static_cast<size_t>(q / kTileUnit);
                ASSERT_TRUE((plan.mask(run.mask).active >> unit) & 1) << seed;
              }
            }
          }
        }
        for (int64_t q = 0; q < kTileSide && block * kTileSide + q < e.queries; ++q) {
          const int64_t i = plan.query_token(block * kTileSide + q);
          ASSERT_EQ(plan.query_slot(i), block * kTileSide + q);
          for (int64_t j = 0; j < e.keys; ++j) {
            ASSERT_EQ(seen.count({i, j}) > 0, pattern.allowed(b, h, i, j))
                << "seed " << seed << " " << pattern.text() << " (" << i << ", " << j << ")";
            pairs += pattern.allowed(b, h, i, j);
          }
        }
      }
    }
  }
  ASSERT_EQ(plan.pairs(), pairs) << "seed " << seed << " " << pattern.text();
}

TEST(AttentionPlan, HoldsExactlyTheAllowedPairsOfRandomPatterns) {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    testing::Draw draw(seed);
    const PatternExtents e = testing::random_extents(draw);
    expect_plan_matches(random_pattern(draw, e), e, seed);
    if (HasFatalFailure()) return;
  }
}

TEST(AttentionPlan, RectanglesCoverEveryActiveUnitOnce) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    testing::Draw draw(seed);
    const PatternExtents e = testing::random_extents(draw);
    const TilePlan plan(random_pattern(draw, e), e);
    for (int64_t b = 0; b < e.batch; ++b)
      for (int64_t h = 0; h < e.heads; ++h)
        for (int64_t block = 0; block < plan.blocks(); ++block)
          for (const auto& run : plan.runs(b, h, block)) {
            if (run.mask < 0) continue;
            const auto& mask = plan.mask(run.mask);
            uint32_t covered = 0;
            for (int i = 0; i < mask.rect_count; ++i) {
              const auto& r = mask.rects[i];
              for (int row = r.row; row < r.row + r.rows; ++row)
                for (int lane = r.lane; lane < r.lane + r.lanes; ++lane) {
                  ASSERT_FALSE((covered >> (4 * row + lane)) & 1);
                  covered |= 1u << (4 * row + lane);
                }
            }
            ASSERT_EQ(covered, mask.active);
          }
  }
}

TEST(AttentionPlan, IsBuiltOnceForEqualPatterns) {
  const PatternExtents e{1, 2, 100, 100};
  const auto first = kernels::attn::tile_plan(AttentionPattern::window(9, 0), e);
  EXPECT_EQ(first, kernels::attn::tile_plan(AttentionPattern::window(9, 0), e));
  EXPECT_NE(first, kernels::attn::tile_plan(AttentionPattern::window(8, 0), e));
  EXPECT_NE(first, kernels::attn::tile_plan(AttentionPattern::window(9, 0), {1, 2, 100, 101}));
}

TEST(AttentionPlan, OfALongWindowIsSmall) {
  const PatternExtents e{1, 8, 65536, 65536};
  const auto plan = kernels::attn::tile_plan(AttentionPattern::window(255, 0), e);
  EXPECT_EQ(plan->pairs(), 8 * (65536 * 256 - 256 * 255 / 2));
  EXPECT_LT(plan->bytes(), 256 << 10);  // every block of queries shares its masks
}

}  // namespace
}  // namespace heed
