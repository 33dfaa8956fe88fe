#include "data/transforms.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/colour.h"
#include "data/resample.h"

namespace heed::data {
namespace {

// Numbers drawn one after the other.
class Draws {
 public:
  explicit Draws(const RandomKey& key) : key_(key), stream_(key) {}

  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(stream_.uniform(next_++));
  }
  bool chance(double probability) { return uniform(0, 1) < probability; }
  /// In [0, n).
  int64_t below(int64_t n) {
    // 64-bit draws count in pairs of words; their stream is one of its own.
    return static_cast<int64_t>(
        RandomStream(key_.derive("below")).below(next_++, static_cast<uint64_t>(n)));
  }
  RandomStream noise() const { return RandomStream(key_.derive("noise")); }

 private:
  RandomKey key_;
  RandomStream stream_;
  uint64_t next_ = 0;
};

struct Size {
  int64_t height, width;
};

Size size_of(const TransformOptions& t) { return {t.size.front(), t.size.back()}; }

std::vector<double> range_or(const std::vector<double>& given, double low, double high) {
  return given.empty() ? std::vector<double>{low, high} : given;
}

Image resized(const Image& image, const TransformOptions& t) {
  auto [height, width] = size_of(t);
  if (t.size.size() == 1) {  // the shorter side; the other in proportion, cut as torchvision does
    const int64_t side = t.size[0];
    const bool tall = image.height > image.width;
    height = tall ? side * image.height / image.width : side;
    width = tall ? side : side * image.width / image.height;
  }
  return resize(image, height, width, t.interpolation.value_or("bilinear"));
}

Image center_crop(const Image& image, const Size& size) {
  const auto half = [](int64_t room) { return room >= 0 ? room / 2 : -((1 - room) / 2); };
  return crop(image, half(image.height - size.height), half(image.width - size.width), size.height,
              size.width);
}

Image random_crop(const Image& image, const TransformOptions& t, Draws& draws) {
  const Size size = size_of(t);
  const int64_t padding = t.padding.value_or(0);
  const int64_t down = image.height + 2 * padding - size.height;
  const int64_t right = image.width + 2 * padding - size.width;
  if (down < 0 || right < 0) {
    fail_request("random_crop: {} x {} of an image of {} x {} with a padding of {}", size.height,
                 size.width, image.height, image.width, padding);
  }
  const int64_t top = draws.below(down + 1), left = draws.below(right + 1);
  return crop(image, top - padding, left - padding, size.height, size.width);
}

// A box of a drawn area and ratio of width to height within height x width, or nothing.
struct Box {
  int64_t top = 0, left = 0, height = 0, width = 0;
};

std::optional<Box> random_box(int64_t height, int64_t width, const std::vector<double>& scale,
                              const std::vector<double>& ratio, Draws& draws) {
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    const double area = draws.uniform(scale[0], scale[1]) * static_cast<double>(height) *
                        static_cast<double>(width);
    const double aspect = std::exp(draws.uniform(std::log(ratio[0]), std::log(ratio[1])));
    Box box;
    box.width = std::llround(std::sqrt(area * aspect));
    box.height = std::llround(std::sqrt(area / aspect));
    if (box.width < 1 || box.height < 1 || box.width > width || box.height > height) continue;
    box.top = draws.below(height - box.height + 1);
    box.left = draws.below(width - box.width + 1);
    return box;
  }
  return std::nullopt;
}

Image random_resized_crop(const Image& image, const TransformOptions& t, Draws& draws) {
  const std::vector<double> ratio = range_or(t.ratio, 3.0 / 4.0, 4.0 / 3.0);
  std::optional<Box> box =
      random_box(image.height, image.width, range_or(t.scale, 0.08, 1.0), ratio, draws);
  if (!box) {  // the largest box in the middle whose ratio is allowed
    const double own = static_cast<double>(image.width) / static_cast<double>(image.height);
    const double aspect = std::clamp(own, ratio[0], ratio[1]);
    box = Box{0, 0, image.height, image.width};
    if (own < aspect) {
      box->height = std::max<int64_t>(1, std::llround(static_cast<double>(image.width) / aspect));
    } else if (own > aspect) {
      box->width = std::max<int64_t>(1, std::llround(static_cast<double>(image.height) * aspect));
    }
    box->top = (image.height - box->height) / 2;
    box->left = (image.width - box->width) / 2;
  }
  const Size size = size_of(t);
  return resize(crop(image, box->top, box->left, box->height, box->width), size.height, size.width,
                t.interpolation.value_or("bilinear"));
}

void colour_jitter(Image& image, const TransformOptions& t, Draws& draws) {
  const auto factor = [&](const std::optional<double>& strength) {
    const double v = strength.value_or(0);
    return draws.uniform(1 - v, 1 + v);
  };
  if (t.brightness) adjust_brightness(image, factor(t.brightness));
  if (t.contrast) adjust_contrast(image, factor(t.contrast));
  if (t.saturation) adjust_saturation(image, factor(t.saturation));
  if (t.hue) adjust_hue(image, draws.uniform(-*t.hue, *t.hue));
}

void normalise(Image& image, const TransformOptions& t) {
  const auto channels = static_cast<size_t>(image.channels);
  if (std::max(t.mean.size(), t.std.size()) > channels) {
    fail_request("normalise: 3 means or deviations for an image of one channel");
  }
  for (size_t c = 0; c < channels; ++c) {
    const auto mean = static_cast<float>(t.mean[t.mean.size() == 1 ? 0 : c]);
    const auto factor = static_cast<float>(1 / t.std[t.std.size() == 1 ? 0 : c]);
    for (size_t i = c; i < image.values.size(); i += channels) {
      image.values[i] = (image.values[i] - mean) * factor;
    }
  }
}

void random_erasing(Image& image, const TransformOptions& t, Draws& draws) {
  if (!draws.chance(t.probability.value_or(0.25))) return;
  const auto box = random_box(image.height, image.width, range_or(t.scale, 0.02, 0.33),
                              range_or(t.ratio, 0.3, 3.3), draws);
  if (!box) return;
  const bool noisy = t.fill.value_or("zeros") == "noise";
  const RandomStream noise = draws.noise();
  uint64_t nth = 0;
  for (int64_t y = box->top; y < box->top + box->height; ++y) {
    float* to = image.at(y, box->left);
    for (int64_t i = 0; i < box->width * image.channels; ++i) {
      to[i] = noisy ? noise.normal(nth++) : 0.0f;
    }
  }
}

void rand_augment(Image& image, const TransformOptions& t, Draws& draws) {
  for (int64_t i = 0; i < t.count.value_or(2); ++i) {
    const auto operation = static_cast<int>(draws.below(kAugmentOperations));
    augment(image, operation, t.magnitude.value_or(9), draws.chance(0.5));
  }
}

}  // namespace

void augment(Image& image, int operation, double magnitude, bool negative) {
  const double m = magnitude / 30, sign = negative ? -1 : 1;
  const auto width = static_cast<double>(image.width), height = static_cast<double>(image.height);
  const double factor = 1 + sign * 0.9 * m, shear = sign * 0.3 * m;
  const double angle = sign * m * std::numbers::pi / 6;
  switch (operation) {
    case 0:
      return;  // identity
    case 1:
      image = affine(image, {1, shear, 0, 0, 1, 0});
      return;
    case 2:
      image = affine(image, {1, 0, 0, shear, 1, 0});
      return;
    case 3:
      image = affine(image, {1, 0, sign * m * width * 150 / 331, 0, 1, 0});
      return;
    case 4:
      image = affine(image, {1, 0, 0, 0, 1, sign * m * height * 150 / 331});
      return;
    case 5:
      image = affine(image,
                     {std::cos(angle), std::sin(angle), 0, -std::sin(angle), std::cos(angle), 0});
      return;
    case 6:
      adjust_brightness(image, factor);
      return;
    case 7:
      adjust_saturation(image, factor);
      return;
    case 8:
      adjust_contrast(image, factor);
      return;
    case 9:
      adjust_sharpness(image, factor);
      return;
    case 10:
      posterize(image, 8 - static_cast<int>(std::lround(magnitude / 7.5)));
      return;
    case 11:
      solarize(image, 1 - m);
      return;
    case 12:
      autocontrast(image);
      return;
    case 13:
      equalize(image);
      return;
    default:
      fail("augment: operation {} of {}", operation, kAugmentOperations);
  }
}

Image apply_transforms(Image image, const std::vector<TransformOptions>& transforms,
                       const RandomKey& draw) {
  for (size_t i = 0; i < transforms.size(); ++i) {
    const TransformOptions& t = transforms[i];
    Draws draws(draw.derive(i));
    if (t.type == "resize") {
      image = resized(image, t);
    } else if (t.type == "center_crop") {
      image = center_crop(image, size_of(t));
    } else if (t.type == "random_crop") {
      image = random_crop(image, t, draws);
    } else if (t.type == "random_resized_crop") {
      image = random_resized_crop(image, t, draws);
    } else if (t.type == "horizontal_flip") {
      if (draws.chance(t.probability.value_or(0.5))) image = flip_horizontally(image);
    } else if (t.type == "colour_jitter") {
      colour_jitter(image, t, draws);
    } else if (t.type == "rand_augment") {
      rand_augment(image, t, draws);
    } else if (t.type == "normalise") {
      normalise(image, t);
    } else if (t.type == "random_erasing") {
      random_erasing(image, t, draws);
    } else {
      fail_request("transforms: unknown type '{}'", t.type);
    }
  }
  return image;
}

}  // namespace heed::data
