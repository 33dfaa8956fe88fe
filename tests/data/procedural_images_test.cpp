#include "data/procedural_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace heed::data {
namespace {

TEST(ProceduralImages, AreFunctionsOfTheirKeyWithinTheUnitRange) {
  for (const std::string content : {"shapes", "gratings", "textures"}) {
    const auto classes = static_cast<int64_t>(procedural_classes(content).size());
    for (int64_t label = 0; label < classes; ++label) {
      const Image image = procedural_image(content, label, 24, {1, 2, 3});
      EXPECT_EQ(image, procedural_image(content, label, 24, {1, 2, 3}));
      EXPECT_FALSE(image == procedural_image(content, label, 24, {1, 2, 4}));
      // Interpolation between values of [0, 1] may round past them by one unit.
      for (const float value : image.values) ASSERT_TRUE(value >= -1e-6f && value <= 1 + 1e-6f);
    }
  }
  EXPECT_THROW(procedural_classes("glyphs"), RequestError);
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
