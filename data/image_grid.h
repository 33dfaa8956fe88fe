// Many small images side by side in one, to look at.
#pragma once

#include <vector>

#include "data/image.h"

namespace heed::data {

/// The images (all of one size and number of channels, 1 or 3), row by row, `columns` in a row,
/// one pixel of white between them; each pixel becomes a square of `enlarge` x `enlarge`.
ByteImage image_grid(const std::vector<Image>& images, int64_t columns, int64_t enlarge = 1);

/// The enlargement that brings an image of `size` pixels to 64 or more.
int64_t enlargement(int64_t size);

}  // namespace heed::data
