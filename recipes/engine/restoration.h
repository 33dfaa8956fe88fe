// The task of restoration: an image from a worse one (smaller, noisy, rounded).
//   result = enlarged(input) + model(input)      loss = mean |result - target|
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/labelled_dataset.h"
#include "nn/models/image_model.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {

struct RestorationOptions {
  std::string loss = "l1";
  bool residual = true;
  std::string part = "auto";
  bool luminance = false;
  std::optional<int64_t> border;
  bool self_ensemble = false;
  void options(Options& o);
};

class Restoration : public IndexedTask {
 public:
  Restoration(const Recipe& recipe, TaskUse use);

  const char* name() const override { return "restoration"; }
  nn::Module& module() override { return *model_; }

  std::string data_summary() override { return data_->summary(); }
  const char* item_name() const override { return "images"; }
  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// A batch holds "input", what the model sees, "enlarged", the input at the result's size (where
  /// the task is residual), and "target", all [B, H, W, C] around [-1, 1].
  Tensor loss(const Batch& batch) override;

  /// loss, psnr and (of images of 11 x 11 at least) ssim: means over the images of the evaluated
  /// part.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  /// "interpolation": the input enlarged, not restored.
  Metrics baselines(const EvaluationOptions& options) override;
  std::vector<std::string> known_baselines() const override { return {"interpolation"}; }
  std::string best_metric() const override { return "psnr"; }
  bool lower_is_better() const override { return false; }

  Samples samples() const override { return Samples::files; }
  /// One PNG file of `options.count` held-out examples (from `seed` on, round and round): the
  /// input, what the model makes of it, and the target; of large images the middle.
  std::vector<std::string> write_samples(const std::string& folder, const std::string& prefix,
                                         const SampleOptions& options, int64_t seed) override;

  Config export_config() override { return model_->config(); }

 protected:
  double flops_per_row() override { return model_->flops(); }

 private:
  struct Qualities;

  Batch example(int64_t index) const;
  Tensor difference(const Tensor& result, const Tensor& target) const;
  Tensor restored(const Batch& batch);
  Tensor ensemble(const Batch& batch);
  /// Calls `visit` for this rank's share of the evaluated examples, one by one: their sizes differ.
  void walk(const EvaluationOptions& options, Communicator& communicator, const Progress& progress,
            const std::function<void(const Batch&)>& visit);

  RestorationOptions options_;
  std::shared_ptr<const data::LabelledDataset> data_;
  std::unique_ptr<nn::ImageModel> model_;
  data::Part part_ = data::Part::validation;
  int64_t scale_ = 1;
  bool small_input_ = false;  // the model enlarges; otherwise it sees the input enlarged already
};

/// The task's line in the registry.
TaskEntry restoration_entry();

}  // namespace heed::recipes
