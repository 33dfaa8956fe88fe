#include "data/transforms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/colour.h"
#include "data/resample.h"

namespace heed::data {
namespace {

using testing::HasSubstr;

Image noise(int64_t height, int64_t width, int64_t channels) {
  Image image(height, width, channels);
  const RandomStream stream({4, 5, 6});
  for (size_t i = 0; i < image.values.size(); ++i) image.values[i] = stream.uniform(i);
  return image;
}

// Every value is its own place, so that one can see where a pixel came from.
Image places(int64_t height, int64_t width) {
  Image image(height, width, 1);
  for (size_t i = 0; i < image.values.size(); ++i) image.values[i] = static_cast<float>(i + 1);
  return image;
}

TransformOptions transform(const std::string& yaml) {
  return read_options<TransformOptions>(parse_yaml(yaml, "t.yaml"), "transform", {});
}

std::string error_of(const std::string& yaml) {
  try {
    transform(yaml);
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

void expect_near(const Image& a, const Image& b, float tolerance) {
  ASSERT_EQ(a.height, b.height);
  ASSERT_EQ(a.width, b.width);
  ASSERT_EQ(a.channels, b.channels);
  for (size_t i = 0; i < a.values.size(); ++i) {
    ASSERT_NEAR(a.values[i], b.values[i], tolerance) << i;
  }
}

TEST(Resize, KeepsConstantsAndMeans) {
  for (const char* how : {"nearest", "bilinear", "bicubic"}) {
    const Image flat = Image(7, 5, 3, 0.25f);
    // Weights sum to 1 up to the rounding of some dozen f32 terms.
    expect_near(resize(flat, 3, 11, how), Image(3, 11, 3, 0.25f), 1e-6f);
  }
}

TEST(Resize, HalvingWithATriangleIsTheKnownStencil) {
  // Reduction by 2: a triangle of half-width 2 around 1.0 weighs 1/8, 3/8, 3/8, 1/8 within.
  Image line(1, 8, 1);
  line.values = {0, 0, 0, 1, 0, 0, 0, 0};
  const Image half = resize(line, 1, 4);
  EXPECT_NEAR(half.values[1], 0.375f, 1e-6);
  EXPECT_NEAR(half.values[2], 0.125f, 1e-6);
  EXPECT_EQ(half.values[3], 0.0f);
}

TEST(Resize, BilinearDoublingInterpolates) {
  Image line(1, 2, 1);
  line.values = {0, 1};
  EXPECT_EQ(resize(line, 1, 4).values, (std::vector<float>{0, 0.25f, 0.75f, 1}));
}

TEST(Crop, TakesPixelsAndPadsWithZeros) {
  const Image image = places(3, 4);
  EXPECT_EQ(crop(image, 1, 1, 2, 2).values, (std::vector<float>{6, 7, 10, 11}));
  EXPECT_EQ(crop(image, -1, 3, 2, 2).values, (std::vector<float>{0, 0, 4, 0}));
  EXPECT_EQ(crop(image, 5, 5, 1, 1).values, (std::vector<float>{0}));
}

TEST(Flip, TwiceIsTheIdentity) {
  const Image image = noise(3, 5, 3);
  EXPECT_EQ(flip_horizontally(flip_horizontally(image)), image);
  EXPECT_EQ(flip_horizontally(places(1, 3)).values, (std::vector<float>{3, 2, 1}));
}

TEST(Affine, IdentityAndWholeShiftsAreExact) {
  const Image image = noise(4, 5, 3);
  EXPECT_EQ(affine(image, {1, 0, 0, 0, 1, 0}), image);
  EXPECT_EQ(affine(image, {1, 0, 1, 0, 1, -1}), crop(image, -1, 1, 4, 5));
}

TEST(Colour, FactorsOfOneChangeNothing) {
  const Image image = noise(4, 4, 3);
  for (void (*adjust)(Image&, double) :
       {adjust_brightness, adjust_contrast, adjust_saturation, adjust_sharpness}) {
    Image same = image;
    adjust(same, 1);
    expect_near(same, image, 1e-6f);
  }
  Image turned = image;
  adjust_hue(turned, 0);
  expect_near(turned, image, 1e-5f);
}

TEST(Colour, AThirdOfTheHueCircleRotatesTheChannels) {
  Image pixel(1, 1, 3);
  pixel.values = {0.9f, 0.2f, 0.4f};
  adjust_hue(pixel, 1.0 / 3);
  EXPECT_NEAR(pixel.values[0], 0.4f, 1e-5);
  EXPECT_NEAR(pixel.values[1], 0.9f, 1e-5);
  EXPECT_NEAR(pixel.values[2], 0.2f, 1e-5);
}

TEST(Colour, FactorsOfZeroRemoveWhatTheyAdjust) {
  Image image = noise(4, 4, 3);
  adjust_saturation(image, 0);
  EXPECT_NEAR(image.values[0], image.values[2], 1e-6);
  adjust_contrast(image, 0);
  EXPECT_NEAR(image.values[0], image.values[46], 1e-6);
  adjust_brightness(image, 0);
  EXPECT_EQ(image.values[5], 0.0f);
}

TEST(Colour, PointOperations) {
  Image line(1, 4, 1);
  line.values = {0.25f, 0.5f, 0.75f, 0.3f};
  Image stretched = line;
  autocontrast(stretched);
  EXPECT_EQ(stretched.values[0], 0.0f);
  EXPECT_EQ(stretched.values[2], 1.0f);
  Image inverted = line;
  solarize(inverted, 0.5);
  EXPECT_EQ(inverted.values, (std::vector<float>{0.25f, 0.5f, 0.25f, 0.3f}));
  posterize(line, 1);
  EXPECT_EQ(line.values, (std::vector<float>{0, 128 / 255.0f, 128 / 255.0f, 0}));
}

TEST(Colour, EqualizeKeepsAnEvenHistogram) {
  Image even(2, 256, 1);
  for (size_t i = 0; i < even.values.size(); ++i) {
    even.values[i] = static_cast<float>(i % 256) / 255.0f;
  }
  Image same = even;
  equalize(same);
  // 510 values below the highest level: steps of 2, so that every level stays where it is.
  expect_near(same, even, 1e-6f);
}

TEST(Transforms, AreFunctionsOfTheirKey) {
  const std::vector<TransformOptions> list = {
      transform("{type: random_resized_crop, size: [9]}"),
      transform("{type: colour_jitter, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}"),
      transform("{type: rand_augment}"), transform("{type: horizontal_flip}"),
      transform("{type: random_erasing, probability: 1, fill: noise}")};
  const Image image = noise(16, 20, 3);
  std::set<std::vector<float>> seen;
  for (uint64_t step = 0; step < 50; ++step) {
    const RandomKey key{1, 2, step};
    const Image once = apply_transforms(image, list, key);
    EXPECT_EQ(once, apply_transforms(image, list, key));
    EXPECT_EQ(once.height, 9);
    EXPECT_EQ(once.width, 9);
    for (const float value : once.values) ASSERT_TRUE(std::isfinite(value));
    seen.insert(once.values);
  }
  EXPECT_EQ(seen.size(), 50u);
}

TEST(Transforms, RandomCropReachesEveryPlace) {
  const auto list = std::vector{transform("{type: random_crop, size: [2], padding: 1}")};
  std::set<std::vector<float>> seen;
  for (uint64_t step = 0; step < 400; ++step) {
    seen.insert(apply_transforms(places(2, 2), list, {1, 2, step}).values);
  }
  EXPECT_EQ(seen.size(), 9u) << "3 x 3 places";
}

TEST(Transforms, FlipsHalfOfTheImages) {
  const auto list = std::vector{transform("{type: horizontal_flip}")};
  int flips = 0;
  for (uint64_t step = 0; step < 1000; ++step) {
    flips += apply_transforms(places(1, 2), list, {1, 2, step}).values[0] == 2 ? 1 : 0;
  }
  EXPECT_NEAR(flips, 500, 79) << "five standard deviations of a fair coin";
}

TEST(Transforms, EveryAugmentationKeepsShapeAndRange) {
  const Image image = noise(12, 9, 3);
  for (int operation = 0; operation < kAugmentOperations; ++operation) {
    for (const double magnitude : {0.0, 9.0, 30.0}) {
      Image out = image;
      augment(out, operation, magnitude, operation % 2 == 0);
      ASSERT_EQ(out.values.size(), image.values.size());
      for (const float value : out.values) ASSERT_TRUE(value >= 0 && value <= 1.000001f);
    }
  }
}

TEST(Transforms, ErasingLeavesARectangleOfZeros) {
  const auto list = std::vector{transform("{type: random_erasing, probability: 1}")};
  for (uint64_t step = 0; step < 20; ++step) {
    const Image out = apply_transforms(Image(20, 20, 1, 1.0f), list, {1, 2, step});
    const auto zeros = std::count(out.values.begin(), out.values.end(), 0.0f);
    EXPECT_GE(zeros, 4);
    EXPECT_LE(zeros, 160) << "a third of the area, and the rounding of its sides";
  }
}

TEST(Transforms, NormaliseAndShorterSide) {
  Image image(2, 4, 3, 0.5f);
  const Image out = apply_transforms(
      image, {transform("{type: normalise, mean: [0.5, 0.25, 0], std: [0.5]}")}, {});
  EXPECT_EQ(out.values[0], 0.0f);
  EXPECT_EQ(out.values[1], 0.5f);
  EXPECT_EQ(out.values[2], 1.0f);
  const Image small = apply_transforms(image, {transform("{type: resize, size: [1]}")}, {});
  EXPECT_EQ(small.height, 1);
  EXPECT_EQ(small.width, 2);
  const Image centre =
      apply_transforms(places(3, 3), {transform("{type: center_crop, size: [1]}")}, {});
  EXPECT_EQ(centre.values[0], 5.0f);
}

TEST(Transforms, RefuseWhatTheyDoNotTake) {
  EXPECT_THAT(error_of("{type: resize, size: [8], padding: 2}"), HasSubstr("takes no 'padding'"));
  EXPECT_THAT(error_of("{type: random_crop}"), HasSubstr("needs size"));
  EXPECT_THAT(error_of("{type: flip}"), HasSubstr("t.yaml:1"));
  EXPECT_THAT(error_of("{type: normalise, mean: [0.5]}"), HasSubstr("mean and std"));
  EXPECT_THAT(error_of("{type: random_erasing, scale: [0.3, 0.1]}"), HasSubstr("[low, high]"));
  EXPECT_THROW(apply_transforms(places(2, 2), {transform("{type: random_crop, size: [3]}")}, {}),
               RequestError);
}

}  // namespace
}  // namespace heed::data
