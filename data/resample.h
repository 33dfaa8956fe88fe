// Geometry of images: resizing with antialiasing, cropping, flipping, affine maps.
#pragma once

#include <array>
#include <string>

#include "data/image.h"

namespace heed::data {

/// Resizes by a separable filter that is widened by the factor of reduction (antialiasing), as
/// Pillow does: "nearest", "bilinear" (triangle), "bicubic" (Keys 1981, a = -0.5), "lanczos" (of
/// three lobes), "hamming" (a windowed sinc of one) or "box" (means of what lies under a pixel).
/// Bicubic and Lanczos may leave [0, 1] beside edges; nothing is clamped. Nearest
/// takes the pixel under each centre.
Image resize(const Image& image, int64_t height, int64_t width,
             const std::string& interpolation = "bilinear");

/// The same in bytes, to the bit as Pillow computes it: weights of 22 bits, and 256 levels between
/// the columns, which come first, and the rows.
ByteImage resize(const ByteImage& image, int64_t height, int64_t width,
                 const std::string& interpolation = "bilinear");

/// The pixels of a rectangle; what lies outside the image is 0.
Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width);
ByteImage crop(const ByteImage& image, int64_t top, int64_t left, int64_t height, int64_t width);

/// Mirrored left to right.
Image flip_horizontally(const Image& image);

/// Output pixel (x, y), measured from the centre, takes the bilinear value at
/// (m0 x + m1 y + m2, m3 x + m4 y + m5) of the input; 0 outside.
Image affine(const Image& image, const std::array<double, 6>& m);

}  // namespace heed::data
