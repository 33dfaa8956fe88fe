// What the tasks that turn images into images share: their data, and pictures of their results.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/image.h"
#include "data/labelled_dataset.h"
#include "nn/models/image_model.h"

namespace heed::recipes {

/// The recipe's `data:`; a RequestError for another kind than the ones named.
std::shared_ptr<const data::LabelledDataset> open_images(const Config& data,
                                                         const std::string& task,
                                                         const std::vector<std::string>& kinds);

/// Frames, height, width and channels of the data's examples.
nn::ImageGeometry geometry_of(const data::LabelledDataset& data);

/// Pixels of [0, 1] as networks take them, 2 x - 1. An Error for pixels outside [0, 1]: they were
/// normalised by other numbers.
Tensor centred(const Tensor& images);

/// The first `count` examples of [B, (T,) H, W, 1 or 3] in [-1, 1] as images of [0, 1]; a clip
/// gives one for each frame.
std::vector<data::Image> pictures(const Tensor& x, int64_t count);

/// Writes a PNG file with the images side by side, small ones enlarged; returns its path.
std::string write_grid(const std::string& folder, const std::string& name,
                       const std::vector<data::Image>& images, int64_t columns);

}  // namespace heed::recipes
