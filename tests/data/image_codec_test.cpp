#include "data/image_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

ByteImage noise(int64_t height, int64_t width, int64_t channels) {
  ByteImage image(height, width, channels);
  const RandomStream stream({1, 2, 3});
  for (size_t i = 0; i < image.values.size(); ++i) {
    image.values[i] = static_cast<uint8_t>(stream.word(i));
  }
  return image;
}

ByteImage slope(int64_t height, int64_t width, int64_t channels) {
  ByteImage image(height, width, channels);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < channels; ++c) {
        image.at(y, x)[c] = static_cast<uint8_t>(3 * y + 2 * x + 20 * c);
      }
    }
  }
  return image;
}

std::string error_of(const std::string& file) {
  try {
    decode_image(bytes_of(file), "x");
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(Png, RoundTripIsExact) {
  for (const int64_t channels : {1, 3}) {
    for (const int64_t width : {1, 7, 32}) {
      const ByteImage image = noise(5, width, channels);
      EXPECT_EQ(decode_image(bytes_of(encode_png(image)), "x"), image);
    }
  }
}

TEST(Png, ConvertsChannelsWhenAsked) {
  const ByteImage grey = noise(3, 4, 1);
  const ByteImage rgb = decode_image(bytes_of(encode_png(grey)), "x", 3);
  ASSERT_EQ(rgb.channels, 3);
  EXPECT_EQ(rgb.at(2, 1)[0], grey.at(2, 1)[0]);
  EXPECT_EQ(rgb.at(2, 1)[2], grey.at(2, 1)[0]);
}

TEST(Jpeg, RoundTripOfASmoothImageIsClose) {
  for (const int64_t channels : {1, 3}) {
    const ByteImage image = slope(17, 33, channels);
    const ByteImage back = decode_image(bytes_of(encode_jpeg(image, 100)), "x");
    ASSERT_EQ(back.height, 17);
    ASSERT_EQ(back.width, 33);
    ASSERT_EQ(back.channels, channels);
    // Quality 100 quantises coefficients to whole numbers; YCbCr rounds to bytes each way.
    for (size_t i = 0; i < image.values.size(); ++i) {
      EXPECT_LE(std::abs(int{image.values[i]} - int{back.values[i]}), 6);
    }
  }
}

TEST(ImageCodec, RefusesDamage) {
  EXPECT_THAT(error_of("GIF89a"), HasSubstr("x: neither a JPEG nor a PNG"));
  EXPECT_THAT(error_of(""), HasSubstr("neither"));
  for (const std::string& file : {encode_png(noise(16, 16, 3)), encode_jpeg(noise(16, 16, 3))}) {
    // A PNG's last 12 bytes (the chunk IEND) hold no pixels, and libpng does not miss them.
    for (size_t size = 8; size + 12 < file.size(); size += 37) {
      EXPECT_THAT(error_of(file.substr(0, size)), HasSubstr("x: ")) << size;
    }
  }
  std::string png = encode_png(noise(16, 16, 3));
  png[png.size() / 2] = static_cast<char>(png[png.size() / 2] ^ 1);
  EXPECT_THAT(error_of(png), HasSubstr("damaged PNG"));
}

TEST(ImageCodec, RefusesImagesThatAreTooLarge) {
  std::string jpeg = encode_jpeg(noise(8, 8, 1));
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  for (size_t i = 5; i < 9; ++i) jpeg[frame + i] = '\xfd';  // 65,021 x 65,021
  EXPECT_THAT(error_of(jpeg), HasSubstr("65021 x 65021 pixels"));
}

TEST(ImageCodec, ReadsARealPng) {
  HEED_REAL_DATA(path, "sr/set5/x4/hr/002.png");
  const ByteImage image = decode_image(bytes_of(read_file(path)), path);
  EXPECT_EQ(image.channels, 3);
  EXPECT_EQ(image.height % 4, 0);
  EXPECT_EQ(decode_image(bytes_of(encode_png(image)), "x"), image);
}

TEST(Image, BytesAndUnitsAreInverse) {
  ByteImage image(1, 256, 1);
  for (size_t i = 0; i < 256; ++i) image.values[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(to_bytes(to_image(image)), image);
  EXPECT_EQ(to_image(image).values[255], 1.0f);
}

}  // namespace
}  // namespace heed::data
