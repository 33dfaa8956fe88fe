#include "data/image_pairs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "data/image_codec.h"
#include "tests/core/raises.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::HasSubstr;

Image numbered(int64_t height, int64_t width, int64_t channels) {
  Image image(height, width, channels);
  std::iota(image.values.begin(), image.values.end(), 0.0f);
  return image;
}

TEST(Degradation, ABoxIsTheMeanOfWhatLiesUnderAPixel) {
  const Image image = numbered(4, 6, 1);
  DegradationOptions options;
  options.scale = 2;
  options.interpolation = "box";
  const Image small = reduced(image, options);
  ASSERT_EQ(small.height, 2);
  ASSERT_EQ(small.width, 3);
  // Rows of 6: the mean of n, n + 1, n + 6, n + 7.
  EXPECT_EQ(small.values, (std::vector<float>{3.5f, 5.5f, 7.5f, 15.5f, 17.5f, 19.5f}));
  EXPECT_THAT(request_error([&] { reduced(numbered(4, 5, 1), options); }),
              HasSubstr("4 x 5 cannot be made 2 times smaller"));
}

TEST(Degradation, NoiseHasItsDeviationInEachChannel) {
  DegradationOptions options;
  options.noise = {0.0, 0.1, 0.4};
  Image image(100, 100, 3), again(100, 100, 3), other(100, 100, 3);
  disturb(image, options, {1, 2, 3});
  disturb(again, options, {1, 2, 3});
  disturb(other, options, {1, 2, 4});
  EXPECT_EQ(image.values, again.values);
  EXPECT_NE(image.values, other.values);
  for (size_t c = 0; c < 3; ++c) {
    double square = 0;
    for (size_t i = c; i < image.values.size(); i += 3) {
      square += static_cast<double>(image.values[i]) * static_cast<double>(image.values[i]);
    }
    // The root of the mean of 10,000 squares has a relative deviation of 1 / sqrt(20,000).
    EXPECT_NEAR(std::sqrt(square / 1e4), options.noise[c], 5 * options.noise[c] / std::sqrt(2e4));
  }
  options.noise = {0.1};
  options.quantise = true;
  disturb(image, options, {1, 2, 3});
  for (const float value : image.values) {
    EXPECT_EQ(value, static_cast<float>(std::lround(value * 255)) / 255);
    EXPECT_TRUE(value >= 0 && value <= 1);
  }
  Image grey(2, 2, 1);
  options.noise = {0.1, 0.1, 0.1};
  EXPECT_THAT(request_error([&] { disturb(grey, options, {}); }), HasSubstr("one channel"));
}

TEST(Degradation, TurnsAreEightAndHaveInverses) {
  const Image image = numbered(3, 5, 2);
  std::vector<Image> seen;
  for (int turn = 0; turn < kTurns; ++turn) {
    const Image there = turned(image, turn);
    EXPECT_EQ(turned(there, inverse_turn(turn)), image) << turn;
    for (const Image& other : seen) EXPECT_NE(there, other) << turn;
    seen.push_back(there);
  }
  EXPECT_EQ(*turned(image, 1).at(1, 0), *image.at(1, 4));
  EXPECT_EQ(*turned(image, 2).at(0, 3), *image.at(2, 3));
  EXPECT_EQ(*turned(image, 4).at(3, 2), *image.at(2, 3));
}

// Grey targets whose every square of 2 x 2 has a value of its own, which the input's pixel has too.
ImagePairOptions write_pairs(const TemporaryFolder& folder, int64_t height, int64_t width) {
  for (const int64_t scale : {1, 2}) {
    ByteImage image(height * scale, width * scale, 1);
    for (int64_t y = 0; y < height * scale; ++y) {
      for (int64_t x = 0; x < width * scale; ++x) {
        *image.at(y, x) = static_cast<uint8_t>(y / scale * width + x / scale);
      }
    }
    for (const char* name : {"a", "b"}) {
      folder.write(std::string(scale == 1 ? "lr/" : "hr/") + name + ".png", encode_png(image));
    }
  }
  ImagePairOptions options;
  options.train.targets = {folder / "hr/*.png"};
  options.train.inputs = {folder / "lr/*.png"};
  options.degradation.scale = 2;
  options.crop = 5;
  return options;
}

TEST(ImagePairs, PartsOfInputAndTargetBelongTogether) {
  const TemporaryFolder folder;
  const auto data = open_image_pairs(write_pairs(folder, 9, 12));
  EXPECT_EQ(data->example_shape(), (Shape{5, 5, 1}));
  EXPECT_EQ(data->target_shape(), (Shape{10, 10, 1}));
  EXPECT_STREQ(data->kind(), "image-pairs");
  std::set<float> corners;
  for (int64_t step = 0; step < 40; ++step) {
    const auto batch = std::get<ImageBatch>(data->train_batch(step, {.batch = 3, .seed = 5}));
    ASSERT_EQ(batch.images.shape(), (Shape{3, 5, 5, 1}));
    ASSERT_EQ(batch.labels.shape(), (Shape{3, 10, 10, 1}));
    const auto in = batch.images.to_vector<float>(), out = batch.labels.to_vector<float>();
    for (size_t row = 0; row < 3; ++row) {
      for (size_t y = 0; y < 10; ++y) {
        for (size_t x = 0; x < 10; ++x) {
          ASSERT_EQ(out[row * 100 + y * 10 + x], in[row * 25 + y / 2 * 5 + x / 2]);
        }
      }
      corners.insert(in[row * 25]);
    }
  }
  // Upper left corners of 5 x 8 places, turned: many of them.
  EXPECT_GT(corners.size(), 40u);
}

TEST(ImagePairs, TrainingBatchesDependOnSeedAndIndexOnly) {
  const TemporaryFolder folder;
  ImagePairOptions options = write_pairs(folder, 9, 12);
  options.degradation.noise = {0.1};
  const auto first = open_image_pairs(options), second = open_image_pairs(options);
  const auto values = [](const LabelledDataset& data, int64_t step, const RowSlice& slice = {}) {
    return std::get<ImageBatch>(data.train_batch(step, {.batch = 4, .seed = 9, .slice = slice}))
        .images.to_vector<float>();
  };
  EXPECT_EQ(values(*first, 3), values(*second, 3));
  EXPECT_NE(values(*first, 3), values(*first, 4));
  auto halves = values(*first, 3, {0, 2});
  const auto rest = values(*second, 3, {1, 2});
  halves.insert(halves.end(), rest.begin(), rest.end());
  EXPECT_EQ(halves, values(*first, 3)) << "two ranks see the rows of one";
}

TEST(ImagePairs, EvaluationSeesWholeImagesAndAlwaysTheSameNoise) {
  const TemporaryFolder folder;
  ImagePairOptions options = write_pairs(folder, 9, 12);
  options.validation = options.train;
  options.degradation.noise = {0.1};
  const auto data = open_image_pairs(options);
  const ExampleRow row{1, {}, false};
  const auto once = std::get<ImageBatch>(data->gather(Part::validation, std::span(&row, 1)));
  const auto twice = std::get<ImageBatch>(data->gather(Part::validation, std::span(&row, 1)));
  EXPECT_EQ(once.images.shape(), (Shape{1, 9, 12, 1}));
  EXPECT_EQ(once.labels.shape(), (Shape{1, 18, 24, 1}));
  EXPECT_EQ(once.images.to_vector<float>(), twice.images.to_vector<float>());
}

TEST(ImagePairs, InputsAreMadeWhereNoneAreGiven) {
  const TemporaryFolder folder;
  ImagePairOptions options = write_pairs(folder, 9, 12);
  options.train.inputs.clear();
  options.degradation.scale = 4;  // 18 x 24 becomes 16 x 24
  options.crop = 4;
  const auto data = open_image_pairs(options);
  const ExampleRow row{0, {}, false};
  const auto pair = std::get<ImageBatch>(data->gather(Part::train, std::span(&row, 1)));
  EXPECT_EQ(pair.images.shape(), (Shape{1, 4, 6, 1}));
  EXPECT_EQ(pair.labels.shape(), (Shape{1, 16, 24, 1}));
}

TEST(ImagePairs, SayWhatDoesNotFit) {
  const TemporaryFolder folder;
  const ImagePairOptions good = write_pairs(folder, 9, 12);
  ImagePairOptions bad = good;
  bad.train.inputs = {folder / "lr/a.png"};
  EXPECT_THAT(request_error([&] { open_image_pairs(bad); }), HasSubstr("1 inputs for 2 targets"));
  bad = good;
  bad.degradation.scale = 3;
  EXPECT_THAT(request_error([&] { open_image_pairs(bad); }), HasSubstr("no pair at a scale of 3"));
  bad = good;
  bad.crop = 10;
  EXPECT_THAT(request_error([&] { open_image_pairs(bad)->train_batch(0, {}); }),
              HasSubstr("9 x 12 has no part of 10 x 10"));
  bad = good;
  bad.validation.inputs = bad.train.inputs;
  EXPECT_THAT(request_error([&] { open_image_pairs(bad); }), HasSubstr("inputs need targets"));
}

TEST(DegradedImages, WrapAnyImages) {
  DegradedImageOptions options;
  options.images =
      parse_yaml("{type: procedural-images, content: shapes, size: 12, train: 9}", "t");
  options.degradation.scale = 3;
  const auto clean = open_labelled_dataset(options.images);
  const auto data = open_degraded_images(options);
  EXPECT_EQ(data->size(Part::train), 9);
  EXPECT_EQ(data->example_shape(), (Shape{4, 4, 3}));
  EXPECT_EQ(data->target_shape(), (Shape{12, 12, 3}));
  const auto pair = std::get<ImageBatch>(data->train_batch(2, {.batch = 2, .seed = 4}));
  const auto images = std::get<ImageBatch>(clean->train_batch(2, {.batch = 2, .seed = 4}));
  EXPECT_EQ(pair.labels.to_vector<float>(), images.images.to_vector<float>());

  options.degradation.scale = 5;
  EXPECT_THAT(request_error([&] { open_degraded_images(options); }), HasSubstr("5 times smaller"));
  options.degradation.scale = 3;
  for (const std::string mixing : {"mixup", "cutmix"}) {
    options.images.set(mixing, 0.2);
    EXPECT_THAT(request_error([&] { open_degraded_images(options); }), HasSubstr("no " + mixing));
    options.images.set(mixing, 0.0);
  }
  EXPECT_EQ(open_degraded_images(options)->size(Part::train), 9) << "0 is no mixing";
  options.images = parse_yaml("{type: moving-shapes}", "t");
  EXPECT_THAT(request_error([&] { open_degraded_images(options); }), HasSubstr("not clips"));
}

}  // namespace
}  // namespace heed::data
