#include "data/image_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "data/example_order.h"
#include "data/image_codec.h"
#include "tests/core/raises.h"
#include "tests/recipes/scratch.h"

namespace heed::data {
namespace {

using recipes::Scratch;
using ::testing::HasSubstr;

Config line(const std::string& text) { return parse_json(text, "pairs.jsonl"); }

TEST(ImageTexts, ReadsCaptionsAndBothLayoutsOfConversations) {
  EXPECT_EQ(read_turns(line(R"({"text": "a cat"})")), (std::vector<Turn>{{"", "a cat"}}));
  const std::vector<Turn> two = {{"<image>\nWhat?", "A cat."}, {"Sure?", "Yes."}};
  EXPECT_EQ(read_turns(line(R"({"conversations": [
                {"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."},
                {"from": "human", "value": "Sure?"}, {"from": "gpt", "value": "Yes."}]})")),
            two);
  EXPECT_EQ(read_turns(line(R"({"messages": [
                {"role": "user", "content": "<image>\nWhat?"},
                {"role": "assistant", "content": "A cat."},
                {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes."},
                {"role": "user", "content": "And?"}]})")),
            two);
}

TEST(ImageTexts, WhatIsWrongWithALineIsNamed) {
  const auto error = [](const std::string& text) {
    return request_error([&] { read_turns(line(text)); });
  };
  EXPECT_THAT(error("{}"), HasSubstr("this has none"));
  EXPECT_THAT(error(R"({"messages": [{"role": "system", "content": "x"}]})"),
              HasSubstr("pairs.jsonl:1:24: a turn of 'system', where 'user' comes next"));
  EXPECT_THAT(error(R"({"messages": [{"role": "user", "content": "x"}]})"),
              HasSubstr("without an answer"));
  EXPECT_THAT(error(R"({"messages": [{"role": "user", "content": "<image> <image>"},
                                     {"role": "assistant", "content": "x"}]})"),
              HasSubstr("several pictures"));
  EXPECT_THAT(error(R"({"messages": [
                  {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                  {"role": "user", "content": "<image>"}, {"role": "assistant", "content": "d"}]})"),
              HasSubstr("a later one"));
}

TEST(ImageTexts, PicturesLieBesideTheirFile) {
  const Scratch folder;
  ByteImage image(4, 3, 3);
  image.values[5] = 77;
  folder.write("deep/a.png", encode_png(image));
  const std::string file = folder.write("pairs.jsonl",
                                        "{\"image\": \"deep/a.png\", \"text\": \"dots\"}\n\n"
                                        "{\"image\": \"none.png\", \"text\": \"nothing\"}\n");
  ImageTextFileOptions options;
  options.train = {file};
  const auto data = open_image_texts(options);
  ASSERT_EQ(data->size(Part::train), 2);
  EXPECT_EQ(data->picture(Part::train, 0), image);
  EXPECT_EQ(data->turns(Part::train, 1).front().answer, "nothing");
  EXPECT_THAT(request_error([&] { data->picture(Part::train, 1); }), HasSubstr("none.png"));
  EXPECT_NO_THROW(data->tokenizer().encode("dots"));
  options.images = folder.path("deep");
  EXPECT_THAT(request_error([&] { open_image_texts(options)->picture(Part::train, 0); }),
              HasSubstr("deep/deep/a.png"));
}

TEST(ImageTexts, TheFormatHoldsWhatTheUserSays) {
  EXPECT_EQ(in_format("USER: {} ASSISTANT:", "<image> What?"), "USER: <image> What? ASSISTANT:");
  EXPECT_THAT(request_error([] {
                read_options<ShapeCaptionOptions>(parse_yaml("format: none", "r.yaml"), "data");
              }),
              HasSubstr("no place {}"));
}

TEST(ShapeCaptions, AreTheSameEveryTimeAndOfBothKinds) {
  ShapeCaptionOptions options;
  std::set<std::string> seen;
  for (int64_t i = 0; i < 400; ++i) {
    const ShapeCaption made = shape_caption(options, Part::train, i);
    EXPECT_EQ(made.image, shape_caption(options, Part::train, i).image);
    EXPECT_EQ(made.image.height, 32);
    seen.insert(made.text);
  }
  EXPECT_EQ(seen.size(), 36u) << "six figures in six colours";
  EXPECT_TRUE(seen.contains("a red disc"));
  EXPECT_NE(shape_caption(options, Part::train, 0).image,
            shape_caption(options, Part::test, 0).image);
  options.figures = 2;
  bool beside = false, above = false;
  for (int64_t i = 0; i < 20; ++i) {
    const std::string text = shape_caption(options, Part::train, i).text;
    beside = beside || text.find(" left of a ") != std::string::npos;
    above = above || text.find(" above a ") != std::string::npos;
  }
  EXPECT_TRUE(beside && above);
}

TEST(ShapeCaptions, TheColourThatIsNamedIsInThePicture) {
  ShapeCaptionOptions options;
  int seen = 0;
  for (int64_t i = 0; i < 60; ++i) {
    const ShapeCaption made = shape_caption(options, Part::train, i);
    if (made.text != "a red disc" && made.text != "a red square") continue;
    ++seen;
    int red = 0;
    for (size_t p = 0; p + 2 < made.image.values.size(); p += 3) {
      red += made.image.values[p] > 200 && made.image.values[p + 2] < 80 ? 1 : 0;
    }
    EXPECT_GT(red, 60) << made.text << " " << i;
  }
  EXPECT_GT(seen, 0);
}

TEST(ExampleOrder, EveryExampleComesOnceAnEpochInAnyShare) {
  const LabelledBatchOptions whole{.batch = 4, .seed = 3, .slice = {}};
  std::multiset<int64_t> seen;
  std::vector<int64_t> parts;
  for (int64_t index = 0; index < 3; ++index) {
    for (const int64_t example : training_examples(index, 6, whole)) seen.insert(example);
    for (int64_t rank = 0; rank < 2; ++rank) {
      for (const int64_t e :
           training_examples(index, 6, {.batch = 4, .seed = 3, .slice = {rank, 2}}))
        parts.push_back(e);
    }
  }
  for (int64_t example = 0; example < 6; ++example) EXPECT_EQ(seen.count(example), 2u);
  EXPECT_EQ(std::multiset<int64_t>(parts.begin(), parts.end()), seen);
  EXPECT_EQ(evaluation_examples(1, 6, whole), (std::vector<int64_t>{4, 5, -1, -1}));
  EXPECT_EQ(evaluation_batches(6, 4), 2);
  EXPECT_THROW(evaluation_examples(2, 6, whole), Error);
}

}  // namespace
}  // namespace heed::data
