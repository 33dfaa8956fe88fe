#include "data/resample.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <type_traits>

#include "core/error.h"

namespace heed::data {
namespace {

double triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double keys_cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double sinc(double x) {
  x *= std::numbers::pi;
  return x == 0 ? 1.0 : std::sin(x) / x;
}

double lanczos(double x) { return std::abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0.0; }

double hamming(double x) {
  x = std::abs(x);
  return x < 1 ? sinc(x) * (0.54 + 0.46 * std::cos(std::numbers::pi * x)) : 0.0;
}

// A filter, and beyond which distance it is 0.
struct Filter {
  double (*weight)(double) = nullptr;
  double support = 0;
};

Filter filter_named(const std::string& name) {
  if (name == "bilinear") return {triangle, 1.0};
  if (name == "bicubic") return {keys_cubic, 2.0};
  if (name == "box") return {box, 0.5};
  if (name == "lanczos") return {lanczos, 3.0};
  if (name == "hamming") return {hamming, 1.0};
  fail(
      "resize: unknown interpolation '{}' (known: nearest, bilinear, bicubic, box, lanczos, "
      "hamming)",
      name);
}

// The inputs [first, first + weights.size()) that one output mixes.
template <class Weight>
struct Tap {
  int64_t first = 0;
  std::vector<Weight> weights;  // sum to 1
};

// A share of 1 as a float, or as a number of 22 bits, rounded away from zero.
constexpr int kBits = 22;

template <class Weight>
Weight weight_of(double share) {
  if constexpr (std::is_same_v<Weight, float>) return static_cast<float>(share);
  return static_cast<Weight>(share * (1 << kBits) + (share < 0 ? -0.5 : 0.5));
}

template <class Weight>
std::vector<Tap<Weight>> make_taps(int64_t in, int64_t out, const std::string& interpolation) {
  std::vector<Tap<Weight>> taps(static_cast<size_t>(out));
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const bool nearest = interpolation == "nearest";
  const Filter filter = nearest ? Filter{} : filter_named(interpolation);
  double summed = 0.5 * scale;  // of bytes: the centre as Pillow comes to it
  const double widen = std::max(scale, 1.0), support = filter.support * widen;
  for (int64_t i = 0; i < out; ++i) {
    Tap<Weight>& tap = taps[static_cast<size_t>(i)];
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    if (nearest) {
      const double at = std::is_same_v<Weight, float> ? centre : summed;
      tap = {std::min(static_cast<int64_t>(at), in - 1), {weight_of<Weight>(1.0)}};
      summed += scale;
      continue;
    }
    tap.first = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
    const int64_t end = std::min(in, static_cast<int64_t>(centre + support + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (int64_t j = tap.first; j < end; ++j) {
      const double x = (static_cast<double>(j) + 0.5 - centre) / widen;
      weights.push_back(filter.weight(x));
      sum += weights.back();
    }
    for (const double weight : weights) tap.weights.push_back(weight_of<Weight>(weight / sum));
  }
  return taps;
}

Image resize_rows(const Image& image, int64_t height, const std::string& interpolation) {
  Image out(height, image.width, image.channels);
  const std::vector<Tap<float>> taps = make_taps<float>(image.height, height, interpolation);
  const int64_t row = image.width * image.channels;
  for (int64_t y = 0; y < height; ++y) {
    const Tap<float>& tap = taps[static_cast<size_t>(y)];
    float* to = out.at(y, 0);
    for (size_t k = 0; k < tap.weights.size(); ++k) {
      const float* from = image.at(tap.first + static_cast<int64_t>(k), 0);
      const float weight = tap.weights[k];
      for (int64_t i = 0; i < row; ++i) to[i] += weight * from[i];
    }
  }
  return out;
}

Image resize_columns(const Image& image, int64_t width, const std::string& interpolation) {
  Image out(image.height, width, image.channels);
  const std::vector<Tap<float>> taps = make_taps<float>(image.width, width, interpolation);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const Tap<float>& tap = taps[static_cast<size_t>(x)];
      float* to = out.at(y, x);
      const float* from = image.at(y, tap.first);
      for (const float weight : tap.weights) {
        for (int64_t c = 0; c < image.channels; ++c) to[c] += weight * from[c];
        from += image.channels;
      }
    }
  }
  return out;
}

// Along one axis of `lines`: `line` gives the pixel of a line at a place along it.
template <class Line>
void mix_bytes(const ByteImage& image, ByteImage& out, const std::vector<Tap<int32_t>>& taps,
               int64_t lines, Line&& line) {
  constexpr int32_t kHalf = 1 << (kBits - 1);
  for (int64_t l = 0; l < lines; ++l) {
    for (size_t o = 0; o < taps.size(); ++o) {
      uint8_t* to = line(out, l, static_cast<int64_t>(o));
      for (int64_t c = 0; c < image.channels; ++c) {
        int32_t sum = kHalf;
        int64_t at = taps[o].first;
        for (const int32_t weight : taps[o].weights) sum += weight * line(image, l, at++)[c];
        to[c] = static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255));
      }
    }
  }
}

}  // namespace

ByteImage resize(const ByteImage& image, int64_t height, int64_t width,
                 const std::string& interpolation) {
  HEED_CHECK(height >= 1 && width >= 1 && image.height >= 1 && image.width >= 1,
             "resize: {} x {} to {} x {}", image.height, image.width, height, width);
  const auto in_row = [](auto& of, int64_t y, int64_t x) { return of.at(y, x); };
  const auto in_column = [](auto& of, int64_t x, int64_t y) { return of.at(y, x); };
  ByteImage across = image;
  if (image.width != width) {
    across = ByteImage(image.height, width, image.channels);
    mix_bytes(image, across, make_taps<int32_t>(image.width, width, interpolation), image.height,
              in_row);
  }
  if (image.height == height) return across;
  ByteImage out(height, width, image.channels);
  mix_bytes(across, out, make_taps<int32_t>(image.height, height, interpolation), width, in_column);
  return out;
}

Image resize(const Image& image, int64_t height, int64_t width, const std::string& interpolation) {
  HEED_CHECK(height >= 1 && width >= 1 && image.height >= 1 && image.width >= 1,
             "resize: {} x {} to {} x {}", image.height, image.width, height, width);
  Image out = image.width == width ? image : resize_columns(image, width, interpolation);
  return image.height == height ? out : resize_rows(out, height, interpolation);
}

namespace {

template <class Pixels>
Pixels cut_out(const Pixels& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  HEED_CHECK(height >= 1 && width >= 1, "crop: to {} x {}", height, width);
  Pixels out(height, width, image.channels);
  const int64_t first = std::max<int64_t>(0, -left);
  const int64_t count = std::min(width, image.width - left) - first;
  if (count <= 0) return out;
  for (int64_t y = 0; y < height; ++y) {
    if (y + top < 0 || y + top >= image.height) continue;
    std::copy_n(image.at(y + top, first + left), count * image.channels, out.at(y, first));
  }
  return out;
}

}  // namespace

Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  return cut_out(image, top, left, height, width);
}

ByteImage crop(const ByteImage& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  return cut_out(image, top, left, height, width);
}

Image flip_horizontally(const Image& image) {
  Image out(image.height, image.width, image.channels);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      std::copy_n(image.at(y, image.width - 1 - x), image.channels, out.at(y, x));
    }
  }
  return out;
}

Image affine(const Image& image, const std::array<double, 6>& m) {
  Image out(image.height, image.width, image.channels);
  const double cx = 0.5 * static_cast<double>(image.width - 1);
  const double cy = 0.5 * static_cast<double>(image.height - 1);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      const double dx = static_cast<double>(x) - cx, dy = static_cast<double>(y) - cy;
      const double sx = m[0] * dx + m[1] * dy + m[2] + cx, sy = m[3] * dx + m[4] * dy + m[5] + cy;
      const auto x0 = static_cast<int64_t>(std::floor(sx)),
                 y0 = static_cast<int64_t>(std::floor(sy));
      float* to = out.at(y, x);
      for (int64_t j = y0; j <= y0 + 1; ++j) {
        for (int64_t i = x0; i <= x0 + 1; ++i) {
          if (i < 0 || j < 0 || i >= image.width || j >= image.height) continue;
          const auto weight = static_cast<float>(triangle(sx - static_cast<double>(i)) *
                                                 triangle(sy - static_cast<double>(j)));
          const float* from = image.at(j, i);
          for (int64_t c = 0; c < image.channels; ++c) to[c] += weight * from[c];
        }
      }
    }
  }
  return out;
}

}  // namespace heed::data
