#include "data/resample.h"

#include <algorithm>
#include <cmath>

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

// A filter, and beyond which distance it is 0.
struct Filter {
  double (*weight)(double) = nullptr;
  double support = 0;
};

Filter filter_named(const std::string& name) {
  if (name == "bilinear") return {triangle, 1.0};
  if (name == "bicubic") return {keys_cubic, 2.0};
  if (name == "box") return {box, 0.5};
  fail("resize: unknown interpolation '{}' (known: nearest, bilinear, bicubic, box)", name);
}

// The inputs [first, first + weights.size()) that one output mixes.
struct Tap {
  int64_t first = 0;
  std::vector<float> weights;  // sum to 1
};

std::vector<Tap> make_taps(int64_t in, int64_t out, const std::string& interpolation) {
  std::vector<Tap> taps(static_cast<size_t>(out));
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const bool nearest = interpolation == "nearest";
  const Filter filter = nearest ? Filter{} : filter_named(interpolation);
  const double widen = std::max(scale, 1.0), support = filter.support * widen;
  for (int64_t i = 0; i < out; ++i) {
    Tap& tap = taps[static_cast<size_t>(i)];
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    if (nearest) {
      tap = {std::min(static_cast<int64_t>(centre), in - 1), {1.0f}};
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
    for (const double weight : weights) tap.weights.push_back(static_cast<float>(weight / sum));
  }
  return taps;
}

Image resize_rows(const Image& image, int64_t height, const std::string& interpolation) {
  Image out(height, image.width, image.channels);
  const std::vector<Tap> taps = make_taps(image.height, height, interpolation);
  const int64_t row = image.width * image.channels;
  for (int64_t y = 0; y < height; ++y) {
    const Tap& tap = taps[static_cast<size_t>(y)];
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
  const std::vector<Tap> taps = make_taps(image.width, width, interpolation);
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const Tap& tap = taps[static_cast<size_t>(x)];
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

}  // namespace

Image resize(const Image& image, int64_t height, int64_t width, const std::string& interpolation) {
  HEED_CHECK(height >= 1 && width >= 1 && image.height >= 1 && image.width >= 1,
             "resize: {} x {} to {} x {}", image.height, image.width, height, width);
  Image out = image.width == width ? image : resize_columns(image, width, interpolation);
  return image.height == height ? out : resize_rows(out, height, interpolation);
}

Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width) {
  HEED_CHECK(height >= 1 && width >= 1, "crop: to {} x {}", height, width);
  Image out(height, width, image.channels);
  const int64_t first = std::max<int64_t>(0, -left);
  const int64_t count = std::min(width, image.width - left) - first;
  if (count <= 0) return out;
  for (int64_t y = 0; y < height; ++y) {
    if (y + top < 0 || y + top >= image.height) continue;
    std::copy_n(image.at(y + top, first + left), count * image.channels, out.at(y, first));
  }
  return out;
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
