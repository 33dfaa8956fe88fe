#include "data/image.h"

#include <algorithm>

namespace heed::data {

void bytes_to_unit(const uint8_t* bytes, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(bytes[i]) / 255.0f;
}

Image to_image(const ByteImage& bytes) {
  Image image(bytes.height, bytes.width, bytes.channels);
  bytes_to_unit(bytes.values.data(), static_cast<int64_t>(bytes.values.size()),
                image.values.data());
  return image;
}

ByteImage to_bytes(const Image& image) {
  ByteImage bytes(image.height, image.width, image.channels);
  std::transform(image.values.begin(), image.values.end(), bytes.values.begin(), [](float value) {
    return static_cast<uint8_t>(std::clamp(value, 0.0f, 1.0f) * 255.0f + 0.5f);
  });
  return bytes;
}

}  // namespace heed::data
