// How alike images are.
#pragma once

#include "core/tensor.h"

namespace heed::recipes {

/// Peak signal-to-noise ratio in decibels, 10 log10(range^2 / mean squared difference); infinite
/// for equal images. Any equal shapes, f32.
double psnr(const Tensor& a, const Tensor& b, double range = 1.0);

/// Structural similarity (Wang et al. 2004, eq. 13): the mean over all places where a Gaussian
/// window of 11 x 11 (deviation 1.5) lies within the image, and over channels and images, of
///   (2 ma mb + c1) (2 sab + c2) / ((ma^2 + mb^2 + c1) (sa^2 + sb^2 + c2)),
/// c1 = (0.01 range)^2, c2 = (0.03 range)^2. a, b [B, H, W, C] f32, H and W at least 11.
double ssim(const Tensor& a, const Tensor& b, double range = 1.0);

/// The images without `border` pixels on each side, [B, H, W, C] f32. RequestError where nothing
/// would be left.
Tensor without_border(const Tensor& images, int64_t border);

/// Luminance of RGB images [B, H, W, 3] of [0, 1] f32 -> [B, H, W, 1]: BT.601's Y of [16, 235],
/// divided by 255, which super-resolution measures.
Tensor luminance(const Tensor& images);

}  // namespace heed::recipes
