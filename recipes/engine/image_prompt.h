// A picture as a model on the hub wants it: by the preprocessor_config.json that an import kept.
#pragma once

#include <string>

#include "core/tensor.h"
#include "data/image_processor.h"

namespace heed::recipes {

/// The processor's config that a checkpoint's folder keeps; null where there is none.
Config kept_image_config(const std::string& assets);

/// Reads a JPEG or PNG file -> f32 [1, H, W, C] of the processor's shape.
Tensor read_picture(const std::string& file, const data::ImageProcessor& processor);
/// The same for images of `shape` [H, W, C], as `assets` say, or CLIP's way.
Tensor read_image_prompt(const std::string& file, const std::string& assets, const Shape& shape);

}  // namespace heed::recipes
