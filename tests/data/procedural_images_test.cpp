#include "data/procedural_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace heed::data {
namespace {

TEST(ProceduralImages, AreFunctionsOfTheirKeyWithinTheUnitRange) {
  for (const std::string content : {"shapes", "gratings", "textures", "glyphs", "echoes"}) {
    const auto classes = static_cast<int64_t>(procedural_classes(content).size());
    for (int64_t label = 0; label < classes; ++label) {
      const Image image = procedural_image(content, label, 24, {1, 2, 3});
      EXPECT_EQ(image, procedural_image(content, label, 24, {1, 2, 3}));
      EXPECT_FALSE(image == procedural_image(content, label, 24, {1, 2, 4}));
      // Interpolation between values of [0, 1] may round past them by one unit.
      for (const float value : image.values) ASSERT_TRUE(value >= -1e-6f && value <= 1 + 1e-6f);
    }
  }
  EXPECT_THROW(procedural_classes("runes"), RequestError);
}

// Grey values back to what they stand for.
double value_at(const Image& image, int64_t y, int64_t x) {
  return 8.0 * (static_cast<double>(image.at(y, x)[0]) - 0.5);
}

// Two images of a glyph, at other places and under other noise, correlate where each has it; images
// of two glyphs do not.
TEST(ProceduralImages, GlyphsAreOneSignAtAnyPlace) {
  constexpr int64_t kSize = 32, kGlyph = 9;
  const auto energy = [](const Image& image, int64_t top, int64_t left) {
    double total = 0.0;
    for (int64_t y = 0; y < kGlyph; ++y) {
      for (int64_t x = 0; x < kGlyph; ++x) total += std::abs(value_at(image, top + y, left + x));
    }
    return total;
  };
  // The window with the most energy holds the glyph: 81 pixels of +-1 under noise of 1/2.
  const auto found = [&](const Image& image) {
    std::pair<int64_t, int64_t> best{0, 0};
    for (int64_t top = 0; top + kGlyph <= kSize; ++top) {
      for (int64_t left = 0; left + kGlyph <= kSize; ++left) {
        if (energy(image, top, left) > energy(image, best.first, best.second)) best = {top, left};
      }
    }
    return best;
  };
  for (const int64_t label : {0, 7}) {
    const Image one = procedural_image("glyphs", label, kSize, {1, 2, 3});
    const Image two = procedural_image("glyphs", label, kSize, {1, 2, 4});
    const Image other = procedural_image("glyphs", (label + 1) % 10, kSize, {1, 2, 5});
    const auto at = found(one), there = found(two), elsewhere = found(other);
    EXPECT_NE(at, there);
    double same = 0.0, different = 0.0;
    for (int64_t y = 0; y < kGlyph; ++y) {
      for (int64_t x = 0; x < kGlyph; ++x) {
        const double own = value_at(one, at.first + y, at.second + x);
        same += own * value_at(two, there.first + y, there.second + x) / 81;
        different += own * value_at(other, elsewhere.first + y, elsewhere.second + x) / 81;
      }
    }
    // Of equal signs 1 in the mean, of independent ones 0, each with a deviation below 0.14.
    EXPECT_GT(same, 0.5) << label;
    EXPECT_LT(different, 0.5) << label;
  }
}

TEST(ProceduralImages, EchoesCorrelateAtTheirDistanceAlone) {
  constexpr int64_t kSize = 96, kFar = 9;
  for (int64_t label = 0; label < 4; ++label) {
    const Image image = procedural_image("echoes", label, kSize, {1, 2, 3});
    const auto correlation = [&](int64_t down, int64_t across) {
      double total = 0.0;
      for (int64_t y = 0; y < kSize; ++y) {
        for (int64_t x = 0; x < kSize; ++x) {
          total += value_at(image, y, x) *
                   value_at(image, (y + down) % kSize, (x + across + kSize) % kSize);
        }
      }
      return total / (kSize * kSize);
    };
    // Means of 9,216 products of unit size, neighbours of which correlate: their deviation is below
    // 0.018; four of them.
    EXPECT_NEAR(correlation(0, 0), 1.0, 0.08);
    EXPECT_NEAR(correlation(0, kFar), label == 0 ? 0.5 : 0.0, 0.07) << label;
    EXPECT_NEAR(correlation(kFar, 0), label == 1 ? 0.5 : 0.0, 0.07) << label;
    EXPECT_NEAR(correlation(kFar, kFar), label == 2 ? 0.5 : 0.0, 0.07) << label;
    EXPECT_NEAR(correlation(kFar, -kFar), label == 3 ? 0.5 : 0.0, 0.07) << label;
    for (const int64_t other : {1, 3, 8, 10}) {
      EXPECT_NEAR(correlation(other, 0), 0.0, 0.07);
      EXPECT_NEAR(correlation(0, other), 0.0, 0.07);
    }
  }
}

// At 9 pixels a pixel would be its own echo, at 18 each of two the other's.
TEST(ProceduralImages, EchoesWantSizesWhereTheyAreEchoes) {
  for (const int64_t size : {8, 9, 18})
    EXPECT_THROW(procedural_image("echoes", 0, size, {1, 2, 3}), Error) << size;
  for (const int64_t size : {10, 17, 19})
    EXPECT_NO_THROW(procedural_image("echoes", 3, size, {1, 2, 3})) << size;
}

TEST(ProceduralImages, ShapesStandOutFromTheirGround) {
  for (int64_t label = 0; label < 6; ++label) {
    const Image image = procedural_image("shapes", label, 32, {1, 2, 3});
    int64_t bright = 0;
    for (size_t i = 0; i < image.values.size(); i += 3) bright += image.values[i] > 0.5f ? 1 : 0;
    // The thinnest shape, the bar of radius 6.4, covers 4 x 0.3 x 6.4^2 = 49 pixels.
    EXPECT_GE(bright, 35) << label;
    EXPECT_LE(bright, 420) << label;
  }
}

TEST(ProceduralImages, PartsAreBalancedAndDiffer) {
  const auto data = open_labelled_dataset(parse_yaml(
      "{type: procedural-images, size: 16, train: 60, validation: 12, test: 0}", "r.yaml"));
  EXPECT_EQ(data->classes(), 6);
  EXPECT_EQ(data->size(Part::validation), 12);
  EXPECT_EQ(data->size(Part::test), 0);
  const auto train = std::get<ImageBatch>(data->evaluation_batch(Part::train, 0, {.batch = 6}));
  const auto held = std::get<ImageBatch>(data->evaluation_batch(Part::validation, 0, {.batch = 6}));
  EXPECT_EQ(train.labels.to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_NE(train.images.to_vector<float>(), held.images.to_vector<float>());
}

TEST(MovingShapes, MoveAndStayInTheFrame) {
  const Tensor clip = moving_shapes(12, 24, 2, 5, 7);
  EXPECT_EQ(clip.shape(), (Shape{12, 24, 24, 3}));
  EXPECT_EQ(clip.to_vector<float>(), moving_shapes(12, 24, 2, 5, 7).to_vector<float>());
  EXPECT_NE(clip.to_vector<float>(), moving_shapes(12, 24, 2, 5, 8).to_vector<float>());
  const std::vector<float> values = clip.to_vector<float>();
  constexpr size_t kFrame = 24 * 24 * 3;
  for (size_t frame = 0; frame < 12; ++frame) {
    double light = 0, change = 0;
    for (size_t i = frame * kFrame; i < (frame + 1) * kFrame; ++i) {
      light += static_cast<double>(values[i]);
      if (frame > 0) change += std::abs(static_cast<double>(values[i] - values[i - kFrame]));
    }
    EXPECT_GT(light, 5) << "no shape leaves the frame";
    if (frame > 0) {
      EXPECT_GT(change, 1);
    }
  }
}

}  // namespace
}  // namespace heed::data
