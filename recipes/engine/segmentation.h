// The task of segmentation: a class for every pixel.
//   loss = -mean over pixels of ln p(class of the pixel | image)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/labelled_dataset.h"
#include "nn/models/image_model.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {

struct SegmentationOptions {
  double smoothing = 0.0;
  void options(Options& o);
};

class Segmentation : public IndexedTask {
 public:
  Segmentation(const Recipe& recipe, TaskUse use);

  const char* name() const override { return "segmentation"; }
  nn::Module& module() override { return *model_; }

  std::string data_summary() override { return data_->summary(); }
  const char* item_name() const override { return "images"; }
  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// A batch holds "images" [B, H, W, C] in [-1, 1] and "labels" [B, H, W].
  Tensor loss(const Batch& batch) override;

  /// loss, pixel_accuracy and mean_iou over the validation part.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  std::string best_metric() const override { return "mean_iou"; }
  bool lower_is_better() const override { return false; }

  Samples samples() const override { return Samples::files; }
  /// One PNG file of `options.count` held-out examples (from `seed` on, round and round): the
  /// image, its classes in colours, and the model's.
  std::vector<std::string> write_samples(const std::string& folder, const std::string& prefix,
                                         const SampleOptions& options, int64_t seed) override;

  Config export_config() override { return model_->config(); }

 protected:
  double flops_per_row() override { return model_->flops(); }

 private:
  SegmentationOptions options_;
  std::shared_ptr<const data::LabelledDataset> data_;
  std::unique_ptr<nn::ImageModel> model_;
};

/// The task's line in the registry.
TaskEntry segmentation_entry();

}  // namespace heed::recipes
