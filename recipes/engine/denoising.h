// The task of generative models of images and clips: tell noise from data.
//   x(t) = alpha(t) x0 + sigma(t) noise;   loss = mean (model(x(t), t, label) - target)^2
// with the processes, targets and samplers of nn/diffusion/.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/labelled_dataset.h"
#include "nn/diffusion/process.h"
#include "nn/diffusion/sampler.h"
#include "nn/models/image_model.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {

struct DenoisingOptions {
  nn::DiffusionOptions diffusion;
  bool conditional = false;
  int64_t evaluation_times = 8;
  nn::SamplerOptions sampler;
  void options(Options& o);
};

class Denoising : public IndexedTask {
 public:
  Denoising(const Recipe& recipe, TaskUse use);

  const char* name() const override { return "denoising"; }
  nn::Module& module() override { return *model_; }
  nn::ImageModel& model() { return *model_; }

  std::string data_summary() override { return data_ ? data_->summary() : ""; }
  const char* item_name() const override { return clips() ? "clips" : "images"; }
  void resolve(Recipe& recipe) override { recipe.model = model_->config(); }

  /// A batch holds "x" (noisy), "target", "times" [B] and, when conditional, "labels" [B]. What
  /// time and noise a row gets is a function of (seed, step, row).
  Tensor loss(const Batch& batch) override;

  /// The loss over the validation part, each example at `evaluation_times` evenly spaced times, its
  /// noise a function of the example and the time alone: no chance is left.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;

  Samples samples() const override { return Samples::files; }
  /// One PNG file, a grid of `options.count` samples, class n modulo the classes (when conditional)
  /// for sample n; a clip is a row.
  std::vector<std::string> write_samples(const std::string& folder, const std::string& prefix,
                                         const SampleOptions& options, int64_t seed) override;
  /// [count, (T,) H, W, C], about [-1, 1].
  Tensor sample(int64_t count, int64_t seed);

  Config export_config() override { return model_->config(); }

 protected:
  double flops_per_row() override { return model_->flops(); }

 private:
  bool clips() const { return model_->geometry().frames > 0; }

  DenoisingOptions options_;
  nn::DiffusionProcess process_;
  std::shared_ptr<const data::LabelledDataset> data_;  // null when only generating
  std::unique_ptr<nn::ImageModel> model_;
};

/// The task's line in the registry.
TaskEntry denoising_entry();

}  // namespace heed::recipes
