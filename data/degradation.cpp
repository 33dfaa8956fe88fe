#include "data/degradation.h"

#include <algorithm>

#include "core/error.h"
#include "data/resample.h"

namespace heed::data {
namespace {

enum Turn { kLeftRight = 1, kTopBottom = 2, kTranspose = 4 };

}  // namespace

void DegradationOptions::options(Options& o) {
  o.field("scale", scale, "the images' sides become so many times shorter", {.min = 1, .max = 64});
  o.field("interpolation", interpolation, "how they become shorter, with antialiasing",
          {.one_of = {"nearest", "bilinear", "bicubic", "box"}});
  o.field("noise", noise,
          "deviation of normal noise, of values in [0, 1]; one number, or one a channel",
          {.min = 0});
  o.field("quantise", quantise, "round to 256 values, as an image in a file is");
  o.check(noise.size() <= 1 || noise.size() == 3, "noise", "noise must be one number, or three");
}

Image reduced(const Image& image, const DegradationOptions& options) {
  const int64_t scale = options.scale;
  if (image.height % scale != 0 || image.width % scale != 0) {
    fail_request("an image of {} x {} cannot be made {} times smaller: crop it to a multiple",
                 image.height, image.width, scale);
  }
  if (scale == 1) return image;
  return resize(image, image.height / scale, image.width / scale, options.interpolation);
}

void disturb(Image& image, const DegradationOptions& options, const RandomKey& draw) {
  if (!options.noise.empty()) {
    const auto channels = static_cast<size_t>(image.channels);
    if (options.noise.size() > channels) {
      fail_request("noise: {} deviations for an image of one channel", options.noise.size());
    }
    const RandomStream stream(draw);
    for (size_t i = 0; i < image.values.size(); ++i) {
      const double deviation = options.noise[options.noise.size() == 1 ? 0 : i % channels];
      image.values[i] += static_cast<float>(deviation) * stream.normal(i);
    }
  }
  if (options.quantise) image = to_image(to_bytes(image));
}

Image turned(const Image& image, int turn) {
  HEED_CHECK(turn >= 0 && turn < kTurns, "turned: {} is none of the {} symmetries", turn, kTurns);
  const bool transpose = (turn & kTranspose) != 0;
  Image result(transpose ? image.width : image.height, transpose ? image.height : image.width,
               image.channels);
  for (int64_t y = 0; y < image.height; ++y) {
    const int64_t row = (turn & kTopBottom) != 0 ? image.height - 1 - y : y;
    for (int64_t x = 0; x < image.width; ++x) {
      const int64_t column = (turn & kLeftRight) != 0 ? image.width - 1 - x : x;
      std::copy_n(image.at(row, column), image.channels,
                  transpose ? result.at(x, y) : result.at(y, x));
    }
  }
  return result;
}

int inverse_turn(int turn) {
  if ((turn & kTranspose) == 0) return turn;
  // Mirroring after the exchange mirrors the other axis.
  return kTranspose | ((turn & kLeftRight) != 0 ? kTopBottom : 0) |
         ((turn & kTopBottom) != 0 ? kLeftRight : 0);
}

}  // namespace heed::data
