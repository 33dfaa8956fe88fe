#include "data/pixel_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "data/labelled_dataset.h"
#include "tests/core/raises.h"

namespace heed::data {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSide = 9, kValues = kSide * kSide * 3, kDocument = kValues + 1;
constexpr TokenId kMark = 256;

Config shapes(int64_t train, int64_t validation) {
  return Config(Config::Map{{"type", "procedural-images"},
                            {"content", "shapes"},
                            {"size", kSide},
                            {"train", train},
                            {"validation", validation},
                            {"test", 0}});
}

TEST(PixelTokens, AnImageIsADocumentOfItsValuesInRasterOrder) {
  for (const int64_t levels : {2, 17, 256}) {
    const auto text = open_pixel_tokens({.images = shapes(5, 3), .levels = levels});
    EXPECT_EQ(text->train.tokens.size(), 5 * kDocument + 1);
    EXPECT_EQ(text->train.bytes, 5 * kValues);
    EXPECT_EQ(text->train.documents, 5);
    EXPECT_EQ(text->validation.tokens.size(), 3 * kDocument + 1);
    EXPECT_EQ(text->tokenizer->vocab_size(), 257);
    const auto images = open_labelled_dataset(shapes(5, 3));
    const ExampleRow row{4, {}, false};
    const auto values = std::get<ImageBatch>(images->gather(Part::train, std::span(&row, 1)))
                            .images.to_vector<float>();
    const auto ids = text->train.tokens.slice(4 * kDocument, kDocument);
    EXPECT_EQ(ids[0], kMark);
    for (size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(ids[i + 1], std::lround(values[i] * static_cast<float>(levels - 1)));
    }
  }
}

TEST(PixelTokens, AWindowOfADocumentsLengthIsAnImage) {
  const auto text = open_pixel_tokens({.images = shapes(5, 3)});
  const WindowBatches windows(
      text->train.tokens,
      {.batch = 5, .context = kDocument, .seed = 3, .sampling = "epochs", .documents = true});
  EXPECT_EQ(windows.per_epoch(), 1);
  const Batch batch = windows(0);
  EXPECT_EQ(batch.count, 5 * kValues);  // every value of every image, and no mark
  const auto inputs = batch.inputs.to_vector<int64_t>(),
             targets = batch.targets.to_vector<int64_t>();
  std::set<std::vector<int64_t>> seen;
  for (size_t row = 0; row < 5; ++row) {
    const size_t first = row * kDocument, last = first + kValues;
    EXPECT_EQ(inputs[first], kMark);
    EXPECT_EQ(targets[last], kIgnoreTarget);
    EXPECT_TRUE(
        std::equal(inputs.begin() + first + 1, inputs.begin() + last + 1, targets.begin() + first));
    seen.emplace(inputs.begin() + first, inputs.begin() + last + 1);
  }
  EXPECT_EQ(seen.size(), 5u);  // each image once an epoch, the last one too

  const EvaluationBatches held(text->validation.tokens, 2, kDocument, 0, {}, true);
  EXPECT_EQ(held.size(), 2);
  EXPECT_EQ(held(0).count + held(1).count, 3 * kValues);
}

TEST(PixelTokens, TransformsThatDrawNothingApply) {
  Config images = shapes(2, 0);
  Config::List transforms;
  transforms.emplace_back(Config::Map{{"type", "horizontal_flip"}});
  transforms.emplace_back(
      Config::Map{{"type", "resize"}, {"size", Config(Config::List{Config(5), Config(5)})}});
  images.set("transforms", Config(transforms));
  const auto text = open_pixel_tokens({.images = images});
  EXPECT_EQ(text->train.tokens.size(), 2 * (1 + 5 * 5 * 3) + 1);
  EXPECT_EQ(text->validation.tokens.size(), 0);
  EXPECT_THAT(text->summary, HasSubstr("each a document of 76 tokens"));
}

TEST(PixelTokens, RefusesWhatHasNoLevels) {
  Config images = shapes(2, 0);
  Config::List transforms;
  transforms.emplace_back(Config::Map{{"type", "normalise"},
                                      {"mean", Config(Config::List{Config(0.5)})},
                                      {"std", Config(Config::List{Config(0.1)})}});
  images.set("transforms", Config(transforms));
  EXPECT_THAT(request_error([&] { open_pixel_tokens({.images = images}); }),
              HasSubstr("the images want no `normalise`"));
  const Config scenes(Config::Map{{"type", "shape-scenes"}, {"size", 16}, {"train", 2}});
  EXPECT_THAT(request_error([&] { open_pixel_tokens({.images = scenes}); }),
              HasSubstr("needs images, not masks"));
}

}  // namespace
}  // namespace heed::data
