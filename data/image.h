// Images in memory: rows of pixels of 1 (grey) or 3 (red, green, blue) interleaved channels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heed::data {

template <class T>
struct PixelArray {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<T> values;  ///< [height, width, channels]

  PixelArray() = default;
  PixelArray(int64_t h, int64_t w, int64_t c, T value = T{})
      : height(h), width(w), channels(c), values(static_cast<size_t>(h * w * c), value) {}

  T* at(int64_t y, int64_t x) { return values.data() + (y * width + x) * channels; }
  const T* at(int64_t y, int64_t x) const { return values.data() + (y * width + x) * channels; }
  bool operator==(const PixelArray&) const = default;
};

using ByteImage = PixelArray<uint8_t>;  ///< as decoded, 0 to 255
using Image = PixelArray<float>;        ///< 0 to 1 (until it is normalised)

/// `count` bytes / 255.
void bytes_to_unit(const uint8_t* bytes, int64_t count, float* out);
Image to_image(const ByteImage& bytes);
/// Rounded to the nearest of 256 values; what is outside [0, 1] is clamped.
ByteImage to_bytes(const Image& image);

}  // namespace heed::data
