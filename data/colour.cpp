#include "data/colour.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace heed::data {
namespace {

float unit(float value) { return std::clamp(value, 0.0f, 1.0f); }

float grey(const float* pixel, int64_t channels) {
  return channels == 3 ? 0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2] : pixel[0];
}

float blend(float value, float towards, double factor) {
  const auto f = static_cast<float>(factor);
  return unit(f * value + (1 - f) * towards);
}

int level(float value) { return static_cast<int>(unit(value) * 255.0f + 0.5f); }

// Hue, saturation and value of a pixel, each in [0, 1].
std::array<float, 3> to_hsv(const float* rgb) {
  const float high = std::max({rgb[0], rgb[1], rgb[2]}), low = std::min({rgb[0], rgb[1], rgb[2]});
  const float chroma = high - low;
  if (chroma <= 0) return {0, 0, high};
  float hue = 0;
  if (high == rgb[0]) {
    hue = (rgb[1] - rgb[2]) / chroma;
  } else if (high == rgb[1]) {
    hue = 2 + (rgb[2] - rgb[0]) / chroma;
  } else {
    hue = 4 + (rgb[0] - rgb[1]) / chroma;
  }
  hue /= 6;
  return {hue - std::floor(hue), chroma / high, high};
}

void from_hsv(const std::array<float, 3>& hsv, float* rgb) {
  const auto [hue, saturation, value] = hsv;
  constexpr std::array<float, 3> kShift = {5, 3, 1};  // red, green, blue
  for (size_t c = 0; c < 3; ++c) {
    const float k = std::fmod(kShift[c] + hue * 6, 6.0f);
    rgb[c] = unit(value - value * saturation * std::max(0.0f, std::min({k, 4 - k, 1.0f})));
  }
}

}  // namespace

void adjust_brightness(Image& image, double factor) {
  for (float& value : image.values) value = blend(value, 0, factor);
}

void adjust_contrast(Image& image, double factor) {
  double sum = 0;
  const auto pixels = static_cast<int64_t>(image.values.size()) / image.channels;
  for (int64_t i = 0; i < pixels; ++i) {
    sum += static_cast<double>(grey(image.values.data() + i * image.channels, image.channels));
  }
  const auto mean = static_cast<float>(sum / static_cast<double>(pixels));
  for (float& value : image.values) value = blend(value, mean, factor);
}

void adjust_saturation(Image& image, double factor) {
  if (image.channels != 3) return;
  for (size_t i = 0; i + 2 < image.values.size(); i += 3) {
    float* pixel = image.values.data() + i;
    const float own = grey(pixel, 3);
    for (int c = 0; c < 3; ++c) pixel[c] = blend(pixel[c], own, factor);
  }
}

void adjust_hue(Image& image, double turns) {
  if (image.channels != 3) return;
  for (size_t i = 0; i + 2 < image.values.size(); i += 3) {
    std::array<float, 3> hsv = to_hsv(image.values.data() + i);
    hsv[0] += static_cast<float>(turns);
    hsv[0] -= std::floor(hsv[0]);
    from_hsv(hsv, image.values.data() + i);
  }
}

void adjust_sharpness(Image& image, double factor) {
  const Image original = image;
  for (int64_t y = 1; y + 1 < image.height; ++y) {
    for (int64_t x = 1; x + 1 < image.width; ++x) {
      for (int64_t c = 0; c < image.channels; ++c) {
        float sum = 4 * original.at(y, x)[c];
        for (int64_t j = y - 1; j <= y + 1; ++j) {
          for (int64_t i = x - 1; i <= x + 1; ++i) sum += original.at(j, i)[c];
        }
        image.at(y, x)[c] = blend(original.at(y, x)[c], sum / 13, factor);
      }
    }
  }
}

void posterize(Image& image, int bits) {
  const int mask = 0xff << (8 - std::clamp(bits, 0, 8)) & 0xff;
  for (float& value : image.values) value = static_cast<float>(level(value) & mask) / 255.0f;
}

void solarize(Image& image, double threshold) {
  for (float& value : image.values) {
    if (static_cast<double>(value) >= threshold) value = 1 - value;
  }
}

void autocontrast(Image& image) {
  const auto step = static_cast<size_t>(image.channels);
  for (size_t c = 0; c < step; ++c) {
    float low = 1, high = 0;
    for (size_t i = c; i < image.values.size(); i += step) {
      low = std::min(low, image.values[i]);
      high = std::max(high, image.values[i]);
    }
    if (high <= low) continue;
    for (size_t i = c; i < image.values.size(); i += step) {
      image.values[i] = unit((image.values[i] - low) / (high - low));
    }
  }
}

// Pillow's: level v becomes (values below v + half a step) / step, a step being the count of values
// but those of the highest level, over 255.
void equalize(Image& image) {
  const auto stride = static_cast<size_t>(image.channels);
  for (size_t c = 0; c < stride; ++c) {
    std::array<int64_t, 256> histogram{};
    for (size_t i = c; i < image.values.size(); i += stride) {
      ++histogram[static_cast<size_t>(level(image.values[i]))];
    }
    int64_t total = 0, highest = 0;
    for (const int64_t count : histogram) {
      total += count;
      if (count > 0) highest = count;
    }
    const int64_t step = (total - highest) / 255;
    if (step == 0) continue;
    std::array<float, 256> table{};
    int64_t below = step / 2;
    for (size_t v = 0; v < table.size(); ++v) {
      table[v] = static_cast<float>(std::min<int64_t>(below / step, 255)) / 255.0f;
      below += histogram[v];
    }
    for (size_t i = c; i < image.values.size(); i += stride) {
      image.values[i] = table[static_cast<size_t>(level(image.values[i]))];
    }
  }
}

}  // namespace heed::data
