// The options of image datasets: one declaration for reading, defaults, schema and help.
#include "data/image_formats.h"

namespace heed::data {

void WebDatasetOptions::options(Options& o) {
  o.field("train", train, "tar files or glob patterns; ${NAME} is an environment variable",
          {.required = true});
  o.field("validation", validation, "tar files or glob patterns of the validation part");
  o.field("test", test, "tar files or glob patterns of the test part");
  images.options(o);
}

void ImageFolderOptions::options(Options& o) {
  o.field("train", train, "a folder with a folder of images for each class", {.required = true});
  o.field("validation", validation, "such a folder for validation, of the same classes");
  o.field("test", test, "such a folder for testing, of the same classes");
  images.options(o);
}

CifarOptions::CifarOptions() {
  images.classes = {"airplane", "automobile", "bird",  "cat",  "deer",
                    "dog",      "frog",       "horse", "ship", "truck"};
}

void CifarOptions::options(Options& o) {
  o.field("train", train, "CIFAR's binary files (data_batch_*.bin) or glob patterns",
          {.required = true});
  o.field("validation", validation, "files of the validation part");
  o.field("test", test, "files of the test part (test_batch.bin)");
  o.field("labels", labels, "label bytes of a record: 1 for CIFAR-10, 2 for CIFAR-100's fine ones",
          {.min = 1, .max = 2});
  images.options(o);
}

void IdxOptions::options(Options& o) {
  o.field("train_images", train_images, "an IDX file of images (train-images-idx3-ubyte)",
          {.required = true});
  o.field("train_labels", train_labels, "its labels (train-labels-idx1-ubyte)", {.required = true});
  o.field("test_images", test_images, "images of the test part");
  o.field("test_labels", test_labels, "labels of the test part");
  images.options(o);
}

void ArrayOptions::options(Options& o) {
  o.field("train_images", train_images,
          "u8 or f32 [N, H, W] or [N, H, W, C]: a .npy file, file.npz:member or "
          "file.safetensors:tensor",
          {.required = true});
  o.field("train_labels", train_labels, "integers [N], likewise", {.required = true});
  o.field("validation_images", validation_images, "images of the validation part");
  o.field("validation_labels", validation_labels, "labels of the validation part");
  o.field("test_images", test_images, "images of the test part");
  o.field("test_labels", test_labels, "labels of the test part");
  images.options(o);
}

}  // namespace heed::data
