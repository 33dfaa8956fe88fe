// What makes an image worse, for a model that is to undo it: fewer pixels, noise, rounding.
#pragma once

#include <string>
#include <vector>

#include "core/options.h"
#include "core/random.h"
#include "data/image.h"

namespace heed::data {

struct DegradationOptions {
  int64_t scale = 1;                      ///< sides become so many times shorter
  std::string interpolation = "bicubic";  ///< of resize() (data/resample.h)
  std::vector<double> noise;              ///< deviation, one for all channels or one each
  bool quantise = false;                  ///< round to 256 values, as a file would

  void options(Options& o);
};

/// The image with its sides divided by options.scale. A RequestError where they are no multiples.
Image reduced(const Image& image, const DegradationOptions& options);

/// Adds the noise, normal and drawn by `draw`, and rounds. Without rounding the result may leave
/// [0, 1].
void disturb(Image& image, const DegradationOptions& options, const RandomKey& draw);

/// The eight symmetries of a square: bit 0 mirrors left to right, bit 1 top to bottom, then bit 2
/// exchanges rows and columns. turned(turned(image, s), inverse_turn(s)) is the image.
inline constexpr int kTurns = 8;
Image turned(const Image& image, int turn);
int inverse_turn(int turn);

}  // namespace heed::data
