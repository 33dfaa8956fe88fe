#include "data/image_processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "data/image_codec.h"
#include "data/resample.h"
#include "tests/core/raises.h"

namespace heed::data {
namespace {

ByteImage gradient(int64_t height, int64_t width, int64_t channels) {
  ByteImage image(height, width, channels);
  for (size_t i = 0; i < image.values.size(); ++i)
    image.values[i] = static_cast<uint8_t>((i * 37 + i * i * 11) % 256);
  return image;
}

Config parsed(const std::string& text) { return parse_json(text, "preprocessor_config.json"); }

TEST(ResizeBytes, EqualsPillow) {
  // PIL.Image.fromarray(gradient(5, 7, 1)).resize((4, 3), filter), Pillow 13.
  const ByteImage image = gradient(5, 7, 1);
  const auto values = [&](const char* filter, int64_t height, int64_t width) {
    const ByteImage out = resize(image, height, width, filter);
    return std::vector<int>(out.values.begin(), out.values.end());
  };
  EXPECT_EQ(values("bilinear", 3, 4),
            (std::vector<int>{68, 162, 165, 139, 167, 143, 153, 81, 180, 73, 146, 138}));
  EXPECT_EQ(values("bicubic", 3, 4),
            (std::vector<int>{56, 171, 172, 138, 176, 147, 158, 73, 188, 61, 148, 139}));
  EXPECT_EQ(values("lanczos", 3, 4),
            (std::vector<int>{48, 177, 179, 136, 183, 151, 160, 71, 187, 51, 149, 138}));
  EXPECT_EQ(values("hamming", 3, 4),
            (std::vector<int>{55, 158, 148, 136, 163, 126, 151, 63, 184, 53, 147, 137}));
  EXPECT_EQ(values("box", 3, 4),
            (std::vector<int>{78, 180, 135, 146, 164, 152, 134, 43, 194, 68, 140, 140}));
  EXPECT_EQ(values("nearest", 3, 4),
            (std::vector<int>{0, 118, 68, 106, 114, 80, 134, 20, 188, 2, 160, 150}));
  EXPECT_EQ(
      values("bicubic", 7, 6),
      (std::vector<int>{1,   52,  168, 121, 160, 126, 29,  160, 186, 164, 213, 92,  75,  228,
                        185, 199, 198, 47,  132, 174, 138, 184, 80,  23,  233, 192, 38,  106,
                        163, 60,  229, 128, 35,  128, 179, 114, 174, 42,  85,  195, 143, 153}));
}

TEST(ResizeBytes, IsWithinALevelOfTheSameInFloats) {
  const ByteImage image = gradient(31, 23, 3);
  for (const char* filter : {"bilinear", "box", "hamming"}) {  // which stay within [0, 1]
    for (const auto& [height, width] : {std::pair{13, 9}, {40, 57}, {31, 8}}) {
      const ByteImage bytes = resize(image, height, width, filter);
      const Image floats = resize(to_image(image), height, width, filter);
      for (size_t i = 0; i < bytes.values.size(); ++i) {
        // Rounded twice, after the columns and after the rows.
        ASSERT_NEAR(bytes.values[i], 255 * floats.values[i], 1.01) << filter << " " << i;
      }
    }
  }
}

TEST(ImageProcessor, CutsTheMiddleOfTheShorterSide) {
  const ImageProcessor processor(
      parsed(R"({"do_resize": false, "do_normalize": false, "rescale_factor": 1.0,
                 "crop_size": {"height": 3, "width": 2}})"),
      {3, 2, 3});
  const ByteImage image = gradient(6, 7, 3);
  const Tensor out = processor.process(image, "picture");
  const ByteImage want = crop(image, 1, 2, 3, 2);
  EXPECT_EQ(out.shape(), (Shape{3, 2, 3}));
  for (size_t i = 0; i < want.values.size(); ++i)
    EXPECT_EQ(out.data<float>()[i], want.values[i]) << i;
}

TEST(ImageProcessor, IsClipsWayWhereNothingIsSaid) {
  const ImageProcessor processor(Config::map(), {4, 4, 3});
  const ByteImage image = gradient(8, 11, 3);
  const ByteImage small = crop(resize(image, 4, 4 * 11 / 8, "bicubic"), 0, 0, 4, 4);
  const Tensor out = processor.process(image, "picture");
  const double mean[] = {0.48145466, 0.4578275, 0.40821073};
  const double deviation[] = {0.26862954, 0.26130258, 0.27577711};
  for (size_t i = 0; i < small.values.size(); ++i) {
    const double want = (small.values[i] / 255.0 - mean[i % 3]) / deviation[i % 3];
    EXPECT_NEAR(out.data<float>()[i], want, 1e-6) << i;
  }
}

TEST(ImageProcessor, TransparencyIsLaidOverWhite) {
  // 1 x 1 pixel RGBA (10, 20, 30, 0), written by Pillow.
  const unsigned char png[] = {137, 80,  78,  71,  13,  10, 26, 10, 0,  0,   0,   13, 73,  72,
                               68,  82,  0,   0,   0,   1,  0,  0,  0,  1,   8,   6,  0,   0,
                               0,   31,  21,  196, 137, 0,  0,  0,  13, 73,  68,  65, 84,  120,
                               156, 99,  224, 18,  145, 99, 0,  0,  0,  165, 0,   61, 105, 152,
                               136, 188, 0,   0,   0,   0,  73, 69, 78, 68,  174, 66, 96,  130};
  const auto bytes = std::as_bytes(std::span(png));
  EXPECT_EQ(decode_image(bytes, "a", 3).values, (std::vector<uint8_t>{0, 0, 0}));
  EXPECT_EQ(decode_image(bytes, "a", 3, Transparency::over_white).values,
            (std::vector<uint8_t>{255, 255, 255}));
}

TEST(ImageProcessor, WhatWouldChangeThePictureIsRefused) {
  const auto error = [](const std::string& config) {
    return request_error([&] { ImageProcessor(parsed(config), {4, 4, 3}); });
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(error(R"({"do_pad": true})"), HasSubstr("1:12: 'do_pad' of pictures"));
  EXPECT_THAT(error(R"({"size": {"longest_edge": 8}})"), HasSubstr("longest_edge"));
  EXPECT_THAT(error(R"({"resample": 7})"), HasSubstr("'resample' is 7"));
  EXPECT_THAT(error(R"({"size": 0})"), HasSubstr("a size of 0 pixels"));
  EXPECT_THAT(error(R"({"image_mean": [0.5]})"), HasSubstr("1 numbers for 3 channels"));
  const ImageProcessor other(parsed(R"({"do_center_crop": false, "size": 5})"), {4, 4, 3});
  EXPECT_THAT(request_error([&] { other.process(gradient(8, 8, 3), "a.png"); }),
              HasSubstr("a.png: becomes 5 x 5 pixels"));
}

}  // namespace
}  // namespace heed::data
