// Images in zip archives, with a folder for each class: as Omniglot and many others are given out.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/image_dataset.h"

namespace heed::data {

/// Zip files (see zip.h) of JPEG and PNG images. An image's class is the folder that it lies in:
/// the whole path, without the folders that all images of its archive have in common
/// ("Greek/character01"). Classes are numbered in the order of their names, of all parts together,
/// so that parts may have classes of their own. An image that several archives of a part hold (same
/// class, file name and content) counts once.
struct ImageArchiveOptions {
  std::vector<std::string> train, validation, test;
  ImageOptions images;
  void options(Options& o);
};

/// Archives stay mapped; a packed image is unpacked whenever it is decoded. RequestErrors name the
/// archive and byte of what breaks the format, and archives without images.
std::unique_ptr<LabelledDataset> open_image_archives(const ImageArchiveOptions& options,
                                                     const SourceLocation& where = {});

}  // namespace heed::data
