// Pairs of images for restoration: what a model gets, and what it shall make of it, whose sides are
// `scale` times as long. Kind "image-pairs": a batch's images [B, h, w, C] are the inputs, its
// labels f32 [B, h scale, w scale, C] the targets.
//
// Two datasets make them: files (super-resolution and denoising sets), and any other dataset of
// images, made worse.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/degradation.h"
#include "data/labelled_dataset.h"

namespace heed::data {

/// One part: files of targets, and of inputs (the n-th of either belong together; none: the targets
/// made smaller).
struct ImagePairFiles {
  std::vector<std::string> targets, inputs;
  void options(Options& o);
};

struct ImagePairOptions {
  ImagePairFiles train, validation, test;
  DegradationOptions degradation;
  int64_t crop = 48;
  bool turns = true;
  int64_t channels = 0;
  int64_t cache_bytes = int64_t{1} << 30;
  int64_t workers = 2;
  void options(Options& o);
};

struct DegradedImageOptions {
  Config images;
  DegradationOptions degradation;
  void options(Options& o);
};

/// Pairs of whole files. In training a square of `crop` x `crop` of the input is cut out at random,
/// with its part of the target, and turned by one of the square's symmetries. Images of evaluation
/// stay whole, so each is a batch of its own where they differ in size.
std::unique_ptr<LabelledDataset> open_image_pairs(const ImagePairOptions& options,
                                                  const SourceLocation& where = {});

/// The images of another dataset (kind "images" or "masks", values in [0, 1]) are the targets.
std::unique_ptr<LabelledDataset> open_degraded_images(const DegradedImageOptions& options,
                                                      const SourceLocation& where = {});

}  // namespace heed::data
