#include "data/image_codec.h"

#include <png.h>

#include <cstring>

#include "core/error.h"
#include "data/jpeg.h"

namespace heed::data {
namespace {

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n";
constexpr std::string_view kJpeg = "\xff\xd8\xff";

// libpng's "simplified" reader; frees itself.
struct PngImage {
  png_image image{};
  PngImage() { image.version = PNG_IMAGE_VERSION; }
  ~PngImage() { png_image_free(&image); }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
};

// [H, W, C + 1], whose last value of each pixel is what it covers of white: (a c + (255 - a) 255) /
// 255, rounded.
ByteImage on_white(const ByteImage& image) {
  ByteImage out(image.height, image.width, image.channels - 1);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      const uint8_t* from = image.at(y, x);
      const int cover = from[out.channels];
      for (int64_t c = 0; c < out.channels; ++c) {
        const int sum = from[c] * cover + 255 * (255 - cover);
        out.at(y, x)[c] = static_cast<uint8_t>((2 * sum + 255) / 510);
      }
    }
  }
  return out;
}

ByteImage decode_png(std::span<const std::byte> bytes, const std::string& name, int64_t channels,
                     Transparency transparency) {
  PngImage png;
  if (png_image_begin_read_from_memory(&png.image, bytes.data(), bytes.size()) == 0) {
    fail_request(SourceLocation{name}, fmt::format("not a readable PNG: {}", png.image.message));
  }
  check_image_size(png.image.height, png.image.width, name);
  if (channels == 0) channels = (png.image.format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3 : 1;
  const bool alpha =
      transparency == Transparency::over_white && (png.image.format & PNG_FORMAT_FLAG_ALPHA) != 0;
  png.image.format = channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  if (alpha) png.image.format |= PNG_FORMAT_FLAG_ALPHA;
  png.image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  ByteImage out(png.image.height, png.image.width, channels + (alpha ? 1 : 0));
  const png_color black{0, 0, 0};
  if (png_image_finish_read(&png.image, &black, out.values.data(), 0, nullptr) == 0) {
    fail_request(SourceLocation{name}, fmt::format("damaged PNG: {}", png.image.message));
  }
  return alpha ? on_white(out) : out;
}

}  // namespace

void check_image_size(int64_t height, int64_t width, const std::string& name) {
  if (height < 1 || width < 1 || height > kMaxImagePixels / width) {
    fail_request(SourceLocation{name}, fmt::format("an image of {} x {} pixels; at most {} are "
                                                   "read",
                                                   height, width, kMaxImagePixels));
  }
}

bool is_image(std::span<const std::byte> bytes) {
  return starts_with(bytes, kPng) || starts_with(bytes, kJpeg);
}

ByteImage decode_image(std::span<const std::byte> bytes, const std::string& name, int64_t channels,
                       Transparency transparency) {
  HEED_CHECK(channels == 0 || channels == 1 || channels == 3, "image: {} channels", channels);
  if (starts_with(bytes, kPng)) return decode_png(bytes, name, channels, transparency);
  if (starts_with(bytes, kJpeg)) return decode_jpeg(bytes, name, channels);
  fail_request(SourceLocation{name}, "neither a JPEG nor a PNG file (it starts otherwise)");
}

std::string encode_png(const ByteImage& image) {
  HEED_CHECK(image.channels == 1 || image.channels == 3, "encode_png: {} channels", image.channels);
  PngImage png;
  png.image.width = static_cast<png_uint_32>(image.width);
  png.image.height = static_cast<png_uint_32>(image.height);
  png.image.format = image.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  std::string out(PNG_IMAGE_PNG_SIZE_MAX(png.image), '\0');
  png_alloc_size_t size = out.size();
  if (png_image_write_to_memory(&png.image, out.data(), &size, 0, image.values.data(), 0,
                                nullptr) == 0) {
    fail("encode_png: {}", png.image.message);
  }
  out.resize(size);
  return out;
}

}  // namespace heed::data
