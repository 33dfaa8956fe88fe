#include "data/procedural_scenes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "data/image_grid.h"
#include "data/procedural_figures.h"
#include "data/procedural_images.h"

namespace heed::data {
namespace {

// A disc in the middle: inside it covers all, far away nothing, and in sum its area.
TEST(Figures, CoverTheirArea) {
  const Figure disc{.shape = 0, .x = 16, .y = 16, .radius = 9};
  EXPECT_EQ(disc.cover(16, 16), 1.0f);
  EXPECT_EQ(disc.cover(2, 16), 0.0f);
  double area = 0;
  for (int64_t i = 0; i < 33 * 33; ++i) area += static_cast<double>(disc.cover(i / 33, i % 33));
  EXPECT_NEAR(area, 3.14159 * 81, 1.0);
}

TEST(ShapeScenes, LabelsAreTheVisibleShapes) {
  std::set<int64_t> seen;
  for (uint64_t i = 0; i < 60; ++i) {
    const Scene scene = shape_scene(32, 1, 0, {1, 2, i});
    const Colour ground = {scene.image.values[0], scene.image.values[1], scene.image.values[2]};
    std::set<int64_t> labels(scene.labels.begin(), scene.labels.end());
    ASSERT_LE(labels.size(), 2u) << "one shape on the ground";
    for (size_t p = 0; p < scene.labels.size(); ++p) {
      // Ground colours are at most 0.4, shapes' at least 0.5.
      double light = 0;
      for (size_t c = 0; c < 3; ++c) light += static_cast<double>(scene.image.values[3 * p + c]);
      if (scene.labels[p] != 0) {
        // At least half of the shape's colour.
        EXPECT_GE(light, 0.5 * 3 * 0.5 - 1e-5);
      } else if (light <= 1e-6 + static_cast<double>(ground[0] + ground[1] + ground[2])) {
        EXPECT_NEAR(scene.image.values[3 * p], ground[0], 1e-6);
      }
    }
    seen.insert(labels.begin(), labels.end());
  }
  EXPECT_EQ(seen, (std::set<int64_t>{0, 1, 2, 3, 4, 5, 6}));
}

TEST(ShapeScenes, BatchesHoldImagesAndMasks) {
  const auto data = open_labelled_dataset(
      parse_yaml("{type: shape-scenes, size: 16, train: 7, validation: 3, test: 0}", "r.yaml"));
  EXPECT_STREQ(data->kind(), "masks");
  EXPECT_EQ(data->classes(), 7);
  EXPECT_EQ(data->class_names()[0], "ground");
  EXPECT_EQ(data->example_shape(), (Shape{16, 16, 3}));
  const auto batch = std::get<ImageBatch>(data->train_batch(2, {.batch = 4, .seed = 1}));
  EXPECT_EQ(batch.images.shape(), (Shape{4, 16, 16, 3}));
  EXPECT_EQ(batch.labels.shape(), (Shape{4, 16, 16}));
  EXPECT_EQ(batch.count, 4);
  const auto again = std::get<ImageBatch>(data->train_batch(2, {.batch = 4, .seed = 1}));
  EXPECT_EQ(batch.images.to_vector<float>(), again.images.to_vector<float>());
  const auto last = std::get<ImageBatch>(data->evaluation_batch(Part::validation, 1, {.batch = 2}));
  EXPECT_EQ(last.count, 1);
  const auto labels = last.labels.to_vector<int64_t>();
  EXPECT_TRUE(std::all_of(labels.begin() + 256, labels.end(),
                          [](int64_t label) { return label == kIgnoreTarget; }));
  EXPECT_THROW(data->label(Part::train, 0), Error);
}

TEST(ColourCopy, LabelsAreTheColoursOfPixelsElsewhere) {
  constexpr int64_t kSize = 7;
  const std::map<std::array<float, 3>, int64_t> classes = {
      {{0, 0, 0}, 0}, {{1, 1, 0}, 1}, {{1, 0, 1}, 2}, {{0, 1, 1}, 3}};
  for (const auto& [down, right] : {std::pair{0, 3}, {2, 0}, {2, -3}, {-6, 1}}) {
    const auto data = open_labelled_dataset(
        parse_yaml(fmt::format("{{type: colour-copy, size: 7, down: {}, right: {}, train: 2, "
                               "validation: 2, test: 0}}",
                               down, right),
                   "r.yaml"));
    EXPECT_STREQ(data->kind(), "masks");
    EXPECT_EQ(data->classes(), 4);
    const auto batch = std::get<ImageBatch>(data->evaluation_batch(Part::train, 0, {.batch = 2}));
    const auto pixels = batch.images.to_vector<float>();
    const auto labels = batch.labels.to_vector<int64_t>();
    const auto colour = [&](int64_t image, int64_t row, int64_t column) {
      const auto at = static_cast<size_t>(3 * ((image * kSize + row) * kSize + column));
      return classes.at({pixels[at], pixels[at + 1], pixels[at + 2]});
    };
    std::set<int64_t> seen;
    for (int64_t i = 0; i < 2; ++i) {
      for (int64_t row = 0; row < kSize; ++row) {
        for (int64_t column = 0; column < kSize; ++column) {
          const int64_t r = row + down, c = column + right;
          const bool inside = r >= 0 && r < kSize && c >= 0 && c < kSize;
          EXPECT_EQ(labels[static_cast<size_t>((i * kSize + row) * kSize + column)],
                    inside ? colour(i, r, c) : kIgnoreTarget)
              << row << " " << column << " of " << down << " " << right;
          seen.insert(colour(i, row, column));
        }
      }
    }
    EXPECT_EQ(seen.size(), 4u);
  }
}

TEST(MovingShapesData, IsClips) {
  const auto data = open_labelled_dataset(parse_yaml(
      "{type: moving-shapes, frames: 3, size: 12, shapes: 1, train: 4, validation: 2}", "r.yaml"));
  EXPECT_STREQ(data->kind(), "clips");
  const auto train = std::get<ImageBatch>(data->evaluation_batch(Part::train, 0, {.batch = 2}));
  const auto held = std::get<ImageBatch>(data->evaluation_batch(Part::validation, 0, {.batch = 2}));
  EXPECT_EQ(train.images.shape(), (Shape{2, 3, 12, 12, 3}));
  EXPECT_EQ(train.labels.to_vector<int64_t>(), (std::vector<int64_t>{0, 0}));
  EXPECT_NE(train.images.to_vector<float>(), held.images.to_vector<float>());
}

TEST(ImageGrid, PlacesAndEnlarges) {
  std::vector<Image> images;
  for (const float value : {0.0f, 0.2f, 0.4f}) images.emplace_back(1, 2, 1, value);
  const ByteImage grid = image_grid(images, 2, 2);
  // Two rows of two images of 2 x 4, a line of white between.
  ASSERT_EQ(grid.height, 5);
  ASSERT_EQ(grid.width, 9);
  for (int64_t y = 0; y < 5; ++y) {
    for (int64_t x = 0; x < 9; ++x) {
      const int expected = y == 2 || x == 4 ? 255 : y < 2 ? (x < 4 ? 0 : 51) : (x < 4 ? 102 : 255);
      EXPECT_EQ(*grid.at(y, x), expected) << y << " " << x;
    }
  }
  EXPECT_EQ(enlargement(32), 2);
  EXPECT_EQ(enlargement(100), 1);
  images.emplace_back(2, 2, 1);
  EXPECT_THROW(image_grid(images, 2), Error);
}

}  // namespace
}  // namespace heed::data
