// The task of classification: the class of an image or a text.
//   loss = -mean_i ln p(class_i | example_i), targets smoothed or mixed where the recipe says so
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "recipes/engine/labelled_task.h"

namespace heed::recipes {

struct ClassificationOptions {
  double smoothing = 0.0;
  std::string part = "auto";
  int64_t top_k = 5;
  std::vector<ResolutionStage> resolutions;
  void options(Options& o);
};

class Classification : public LabelledTask {
 public:
  Classification(const Recipe& recipe, TaskUse use, const std::string& assets);

  const char* name() const override { return "classification"; }
  Tensor loss(const Batch& batch) override;

  /// loss (nats, not smoothed), accuracy, top<k>_accuracy where there are more than k classes,
  /// macro_f1, and auc where there are two classes (the second is the positive one).
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  std::string best_metric() const override { return "accuracy"; }
  bool lower_is_better() const override { return false; }
  /// majority.accuracy and majority.macro_f1: always the training part's most frequent class.
  Metrics baselines(const EvaluationOptions& options) override;
  std::vector<std::string> known_baselines() const override { return {"majority"}; }
  /// Of models that weigh the tokens of texts: held-out texts with the weights of their words.
  Samples samples() const override {
    return model_->weighs_tokens() ? Samples::files : Samples::none;
  }
  const char* sample_extension() const override { return ".json"; }
  std::vector<std::string> write_samples(const std::string& folder, const std::string& prefix,
                                         const SampleOptions& options, int64_t seed) override;

 protected:
  /// For a task that is classification with something added: reads its own options.
  Classification(const Recipe& recipe, TaskUse use, const std::string& assets,
                 const ClassificationOptions& options);
  /// Mean cross-entropy of logits against labels [B] or mixed rows [B, K].
  Tensor label_loss(const Tensor& logits, const Tensor& labels) const;

 private:
  ClassificationOptions options_;
  std::string assets_;  // for samples of a model that was loaded without its data
};

/// The task's line in the registry.
TaskEntry classification_entry();

}  // namespace heed::recipes
