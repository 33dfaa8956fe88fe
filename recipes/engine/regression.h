// The task of regression: a number for an image or a text.
//   loss = mean_i of (y - t)^2, |y - t|, or Huber's between them; y the model's one output,
//   t = (target - mean) / std, mean and std of the training part
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/labelled_task.h"

namespace heed::recipes {

struct RegressionOptions {
  std::string loss = "mse";
  std::vector<double> targets;
  std::string part = "auto";
  void options(Options& o);
};

class Regression : public LabelledTask {
 public:
  /// The targets are numbers that the classes stand for.
  Regression(const Recipe& recipe, TaskUse use, const std::string& assets);

  const char* name() const override { return "regression"; }
  Tensor loss(const Batch& batch) override;

  /// loss (as trained), and in the targets' own unit rmse and mae; r2.
  Metrics evaluate(const EvaluationOptions& options, Communicator& communicator,
                   const Progress& progress) override;
  /// mean.rmse, mean.mae, mean.r2: always the training part's mean.
  Metrics baselines(const EvaluationOptions& options) override;
  std::vector<std::string> known_baselines() const override { return {"mean"}; }
  /// Also targets.json: what the model's output 0 and 1 mean.
  std::vector<std::string> save_assets(const std::string& folder) override;

 private:
  void read_targets();
  void measure_scale();
  /// Standardised targets f32 [B, 1] of labels [B], or of mixed rows [B, K].
  Tensor standardised(const Tensor& labels) const;

  RegressionOptions options_;
  std::vector<double> targets_;  // of each class
  double mean_ = 0.0, std_ = 1.0;
};

/// The task's line in the registry.
TaskEntry regression_entry();

}  // namespace heed::recipes
