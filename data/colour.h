// Colours of images with values in [0, 1], as torchvision's functions of the same names (ITU-R 601
// greys). Results stay in [0, 1].
#pragma once

#include "data/image.h"

namespace heed::data {

/// Towards black: image * factor.
void adjust_brightness(Image& image, double factor);
/// Towards the mean grey.
void adjust_contrast(Image& image, double factor);
/// Towards each pixel's grey; grey images stay as they are.
void adjust_saturation(Image& image, double factor);
/// Turns the hue by `turns` in [-0.5, 0.5] of the circle; grey images stay as they are.
void adjust_hue(Image& image, double turns);
/// Towards (below 1) or away from (above 1) a 3 x 3 mean; the border stays as it is.
void adjust_sharpness(Image& image, double factor);
/// Keeps the highest `bits` of 8.
void posterize(Image& image, int bits);
/// Inverts values at or above the threshold.
void solarize(Image& image, double threshold);
/// Stretches each channel to [0, 1].
void autocontrast(Image& image);
/// Evens out each channel's histogram over 256 levels.
void equalize(Image& image);

}  // namespace heed::data
