// Labelled images: sources of images in parts, transformed into batches, mixed where asked for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/image_source.h"
#include "data/labelled_dataset.h"
#include "data/transforms.h"

namespace heed::data {

/// What every image dataset takes.
struct ImageOptions {
  std::vector<TransformOptions> transforms;             ///< of training
  std::vector<TransformOptions> evaluation_transforms;  ///< empty: those that draw nothing
  double hold_out = 0;
  double hold_out_classes = 0;
  int64_t channels = 0;
  std::vector<std::string> classes;
  double mixup = 0;
  double cutmix = 0;
  double mix_probability = 1;
  int64_t repeats = 1;
  int64_t cache_bytes = int64_t{1} << 30;
  int64_t workers = 2;

  void options(Options& o);
};

/// A source for each part; null where there is none.
struct ImageSources {
  std::shared_ptr<const ImageSource> train, validation, test;
};

class ImageDataset : public LabelledDataset {
 public:
  /// Without a validation source, options.hold_out of the training examples, drawn evenly, are
  /// held out; or of the classes options.hold_out_classes, with all their images, so that a model
  /// is measured on classes that it never saw. `class_names` may be empty: then options.classes, or
  /// else "0", "1", ... RequestErrors name labels outside the classes, and images that are no
  /// longer alike after the transforms.
  ImageDataset(ImageSources sources, const ImageOptions& options,
               std::vector<std::string> class_names, const SourceLocation& where = {});

  const char* kind() const override { return "images"; }
  int64_t size(Part part) const override;
  int64_t label(Part part, int64_t example) const override;
  Shape example_shape() const override { return shape_; }
  int workers() const override { return static_cast<int>(options_.workers); }
  int64_t repeats() const override { return options_.repeats; }
  LabelledBatch gather(Part part, std::span<const ExampleRow> rows) const override;

 protected:
  /// With mixup or cutmix: data/mix.h, one draw a batch.
  LabelledBatch gather_training(std::span<const ExampleRow> all, int64_t begin, int64_t end,
                                const RandomKey& batch_draw) const override;

 private:
  struct PartExamples {
    std::shared_ptr<const ImageSource> source;
    std::vector<int64_t> indices;
  };

  const PartExamples& part(Part part) const { return parts_[static_cast<size_t>(part)]; }
  /// Moves whole classes of the training part to the validation part.
  void hold_out_classes();
  void check_labels(const SourceLocation& where) const;
  Image make(Part part, const ExampleRow& row) const;

  ImageOptions options_;
  PartExamples parts_[3];
  Shape shape_;
};

}  // namespace heed::data
