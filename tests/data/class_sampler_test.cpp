#include "data/class_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "data/procedural_images.h"

namespace heed::data {
namespace {

// Images of 10 classes, some of which have fewer than 4 of 36.
std::unique_ptr<LabelledDataset> glyphs() {
  return open_procedural(
      {.content = "glyphs", .size = 12, .train = 36, .validation = 20, .test = 0});
}

TEST(DrawDifferent, EveryListIsAsLikely) {
  std::map<std::vector<int64_t>, int> seen;
  constexpr int kDraws = 12000;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const std::vector<int64_t> drawn = draw_different({3, hash_name("test"), i}, 4, 2);
    ASSERT_EQ(std::set<int64_t>(drawn.begin(), drawn.end()).size(), 2u);
    ++seen[drawn];
  }
  ASSERT_EQ(seen.size(), 12u);  // 4 x 3 ordered pairs
  const double expected = kDraws / 12.0;
  double chi_square = 0.0;
  for (const auto& [list, count] : seen) {
    chi_square += (count - expected) * (count - expected) / expected;
  }
  EXPECT_LT(chi_square, 31.3);  // 11 degrees of freedom: 1 in 1,000
  EXPECT_TRUE(draw_different({}, 0, 0).empty());
  EXPECT_THROW(draw_different({}, 2, 3), Error);
}

TEST(ClassSampler, DrawsSoManyOfEachClass) {
  const auto data = glyphs();
  const ClassSampler sampler(*data, Part::train, 3);
  EXPECT_EQ(sampler.classes(), 10);
  std::set<int64_t> classes_seen;
  for (uint64_t step = 0; step < 40; ++step) {
    const std::vector<int64_t> drawn = sampler.draw({1, 2, step}, 4, 3);
    ASSERT_EQ(drawn.size(), 12u);
    EXPECT_EQ(std::set<int64_t>(drawn.begin(), drawn.end()).size(), 12u);
    std::set<int64_t> classes;
    for (size_t i = 0; i < drawn.size(); ++i) {
      const int64_t label = data->label(Part::train, drawn[i]);
      EXPECT_EQ(label, data->label(Part::train, drawn[i / 3 * 3]));
      classes.insert(label);
    }
    EXPECT_EQ(classes.size(), 4u);
    classes_seen.insert(classes.begin(), classes.end());
    EXPECT_EQ(sampler.draw({1, 2, step}, 4, 3), drawn);
  }
  EXPECT_EQ(classes_seen.size(), 10u);
  EXPECT_NE(sampler.draw({1, 2, 0}, 4, 3), sampler.draw({1, 2, 1}, 4, 3));
  EXPECT_NE(sampler.draw({1, 2, 0}, 4, 3), sampler.draw({2, 2, 0}, 4, 3));
  EXPECT_THROW(sampler.draw({}, 11, 1), Error);
}

TEST(ClassSampler, LeavesOutSmallClassesOrRepeatsTheirExamples) {
  const auto data = glyphs();
  EXPECT_EQ(ClassSampler(*data, Part::train, 4).classes(), 6);  // 36 = 10 x 3 + 6
  const std::vector<int64_t> drawn =
      ClassSampler(*data, Part::validation, 2).draw({}, 1, 5);  // of 2 examples
  EXPECT_EQ(std::set<int64_t>(drawn.begin(), drawn.end()).size(), 2u);
  EXPECT_EQ(drawn[0], drawn[2]);
  EXPECT_EQ(drawn[1], drawn[3]);
}

TEST(ClassSampler, RowsOfTrainingHaveTransformsOfTheirOwn) {
  const auto data = glyphs();
  const ClassSampler sampler(*data, Part::validation, 2);
  const auto rows = sampler.rows({}, 1, 4, true);
  EXPECT_EQ(rows[0].example, rows[2].example);
  EXPECT_NE(RandomStream(rows[0].draw).word(0), RandomStream(rows[2].draw).word(0));
  EXPECT_TRUE(rows[0].augment);
  EXPECT_FALSE(sampler.rows({}, 1, 4, false)[0].augment);
}

TEST(ImageDataset, HoldsOutWholeClasses) {
  ProceduralOptions options{
      .content = "glyphs", .size = 12, .train = 50, .validation = 0, .test = 0};
  options.images.hold_out_classes = 0.3;
  const auto data = open_procedural(options);
  EXPECT_EQ(data->classes(), 10);
  EXPECT_EQ(data->size(Part::train), 35);
  EXPECT_EQ(data->size(Part::validation), 15);
  std::set<int64_t> train, held;
  for (int64_t i = 0; i < 35; ++i) train.insert(data->label(Part::train, i));
  for (int64_t i = 0; i < 15; ++i) held.insert(data->label(Part::validation, i));
  EXPECT_EQ(train.size(), 7u);
  EXPECT_EQ(held.size(), 3u);
  for (const int64_t label : held) EXPECT_FALSE(train.contains(label));
}

}  // namespace
}  // namespace heed::data
