// The image datasets that a recipe can name, and the readers of their formats.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/image_dataset.h"

namespace heed::data {

/// The image of a JPEG or PNG file, see decode_image().
Image read_image(const std::string& path, int64_t channels = 0);
/// Whether a file's name ends as those do: .jpg, .jpeg or .png, in any case.
bool is_image_name(const std::string& name);

/// WebDataset shards: tar files in which members of one name up to the first dot of their last
/// component belong together: an image (jpg, jpeg, png) and its class (cls, a decimal number).
struct WebDatasetOptions {
  std::vector<std::string> train, validation, test;
  ImageOptions images;
  void options(Options& o);
};

/// Folders with one folder of JPEG and PNG files (at any depth) a class, in the order of the names.
struct ImageFolderOptions {
  std::string train, validation, test;
  ImageOptions images;
  void options(Options& o);
};

/// CIFAR's binary version (cs.toronto.edu/~kriz/cifar.html): records of 1 (CIFAR-10) or 2
/// (CIFAR-100: coarse, fine) labels and 3 x 32 x 32 bytes.
struct CifarOptions {
  std::vector<std::string> train, validation, test;
  int64_t labels = 1;
  ImageOptions images;
  CifarOptions();
  void options(Options& o);
};

/// IDX files (MNIST and its kin): unsigned bytes, big-endian extents.
struct IdxOptions {
  std::string train_images, train_labels, test_images, test_labels;
  ImageOptions images;
  void options(Options& o);
};

/// Arrays: .npy files, members of .npz archives named "file.npz:member", or tensors of safetensors
/// files named "file.safetensors:tensor".
struct ArrayOptions {
  std::string train_images, train_labels, validation_images, validation_labels, test_images,
      test_labels;
  ImageOptions images;
  void options(Options& o);
};

std::unique_ptr<LabelledDataset> open_webdataset(const WebDatasetOptions& options,
                                                 const SourceLocation& where = {});
std::unique_ptr<LabelledDataset> open_image_folder(const ImageFolderOptions& options,
                                                   const SourceLocation& where = {});
std::unique_ptr<LabelledDataset> open_cifar(const CifarOptions& options,
                                            const SourceLocation& where = {});
std::unique_ptr<LabelledDataset> open_idx(const IdxOptions& options,
                                          const SourceLocation& where = {});
std::unique_ptr<LabelledDataset> open_arrays(const ArrayOptions& options,
                                             const SourceLocation& where = {});

/// Images u8 [N, 32, 32, 3] and labels i64 [N] (the last of `labels` label bytes).
std::pair<Tensor, Tensor> read_cifar(const std::vector<std::string>& paths, int64_t labels = 1);
/// A .npy file, "file.npz:member" (the member with or without ".npy") or "file.safetensors:tensor".
Tensor read_array(const std::string& path);

}  // namespace heed::data
