#include "data/image_archives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/image_codec.h"
#include "tests/core/raises.h"
#include "tests/data/archives.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string png(uint8_t grey) { return encode_png(ByteImage(3, 2, 1, grey)); }

std::vector<float> pixels(const LabelledDataset& data, Part part, int64_t example) {
  const ExampleRow row{example, {}, false};
  return std::get<ImageBatch>(data.gather(part, std::span(&row, 1))).images.to_vector<float>();
}

TEST(ImageArchives, AClassIsTheFolderThatAnImageLiesIn) {
  for (const bool packed : {false, true}) {
    const TemporaryFolder folder;
    folder.write("a.zip", zip_of({{"top/", ""},
                                  {"top/Greek/", ""},
                                  {"top/Greek/two/2.PNG", png(20)},
                                  {"top/Greek/one/1.png", png(10)},
                                  {"top/Latin/one/1.png", png(30)},
                                  {"top/README.txt", "no image"}},
                                 packed));
    folder.write("b.zip", zip_of({{"other/Latin/one/9.png", png(40)},
                                  {"other/Runes/one/1.png", png(50)},
                                  {"other/Greek/one/1.png", png(10)}},
                                 packed));
    const auto data =
        open_image_archives({.train = {folder / "a.zip"}, .test = {folder / "b.zip"}});
    EXPECT_STREQ(data->kind(), "images");
    EXPECT_THAT(data->class_names(),
                ElementsAre("Greek/one", "Greek/two", "Latin/one", "Runes/one"));
    EXPECT_EQ(data->size(Part::train), 3);
    EXPECT_EQ(data->size(Part::validation), 0);
    EXPECT_EQ(data->size(Part::test), 3);
    EXPECT_EQ(data->example_shape(), (Shape{3, 2, 1}));
    EXPECT_EQ(data->label(Part::test, 2), 3);
    EXPECT_EQ(pixels(*data, Part::train, 1), std::vector<float>(6, 20.0f / 255.0f));
    EXPECT_EQ(pixels(*data, Part::test, 2), std::vector<float>(6, 50.0f / 255.0f));
  }
}

TEST(ImageArchives, AnImageOfTwoArchivesCountsOnce) {
  const TemporaryFolder folder;
  folder.write("a.zip", zip_of({{"a/x/1.png", png(1)}, {"a/y/1.png", png(2)}}, true));
  folder.write("b.zip", zip_of({{"b/x/1.png", png(1)}, {"b/y/1.png", png(3)}}, true));
  const auto data = open_image_archives({.train = {folder / "*.zip"}});
  EXPECT_EQ(data->size(Part::train), 3);  // the two y/1.png are two images
}

TEST(ImageArchives, SingleFoldersAreClassesToo) {
  const TemporaryFolder folder;
  folder.write("a.zip", zip_of({{"a/x/1.png", png(1)}, {"a/x/2.png", png(2)}}, true));
  EXPECT_THAT(open_image_archives({.train = {folder / "a.zip"}})->class_names(), ElementsAre("x"));
}

TEST(ImageArchives, ErrorsNameTheArchive) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& content) {
    folder.write("a.zip", content);
    return request_error([&] { open_image_archives({.train = {folder / "a.zip"}}); });
  };
  EXPECT_THAT(error("no zip"), HasSubstr("a.zip"));
  EXPECT_THAT(error(zip_of({{"x/1.txt", "1"}}, true)), HasSubstr("holds no JPEG or PNG files"));
  EXPECT_THAT(error(zip_of({{"1.png", png(1)}, {"x/2.png", png(2)}}, true)),
              HasSubstr("'1.png' lies in no folder of a class"));
  EXPECT_THAT(error(zip_of({{"x/1.png", "no image"}, {"y/1.png", png(1)}}, true)),
              HasSubstr("a.zip:x/1.png"));
}

TEST(ImageArchives, OmniglotsSmallBackgroundSets) {
  HEED_REAL_DATA(one, "fewshot/omniglot_background_small1.zip");
  HEED_REAL_DATA(two, "fewshot/omniglot_background_small2.zip");
  const auto data = open_image_archives({.train = {one, two}});
  EXPECT_EQ(data->classes(), 242);  // 136 + 156, of which Greek's and Latin's 50 are in both
  EXPECT_EQ(data->size(Part::train), 242 * 20);
  EXPECT_EQ(data->example_shape(), (Shape{105, 105, 1}));
}

}  // namespace
}  // namespace heed::data
