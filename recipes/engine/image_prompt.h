// A picture as a model on the hub wants it: resized, cut out and normalised as the
// preprocessor_config.json says that an import kept.
#pragma once

#include <string>

#include "core/tensor.h"

namespace heed::recipes {

/// Reads a JPEG or PNG file -> f32 [1, H, W, C] of `shape` [H, W, C]. `assets` is the checkpoint's
/// folder; without a config in it, CLIP's way: the shorter side to H by a bicubic filter, the
/// middle H x W, and CLIP's means and deviations. A RequestError names a key that heed cannot do,
/// a config whose images are not of that shape, and a picture that has, or would have when resized,
/// more than data::kMaxImagePixels (a strip a pixel wide is widened to H).
Tensor read_image_prompt(const std::string& file, const std::string& assets, const Shape& shape);

}  // namespace heed::recipes
