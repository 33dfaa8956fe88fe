// Evaluation of a checkpoint.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "recipes/engine/checkpoint.h"
#include "recipes/engine/task.h"

namespace heed::recipes {

struct Evaluation {
  std::string checkpoint;
  int64_t step = 0;
  Metrics metrics;    ///< "loss" first
  Metrics baselines;  ///< of `evaluation.baselines`
  double seconds = 0.0;
};

/// Measures a checkpoint, or the latest good one of a run folder. `overrides` are of its recipe
/// ("evaluation.max_batches=20", "data.files=[other.txt]").
Evaluation evaluate(const std::string& run_or_checkpoint,
                    const std::vector<std::string>& overrides = {}, const Progress& progress = {},
                    const Warning& warn = {});

/// A checkpoint's task with its weights in place (the averaged ones when there are any and
/// `evaluation.use_ema`), in eval mode.
struct LoadedRun {
  Recipe recipe;
  CheckpointInfo checkpoint;
  std::unique_ptr<Task> task;
};
/// Puts a checkpoint's weights into a module that its recipe describes: the averaged ones when
/// there are any and `evaluation.use_ema`; on the recipe's device, in eval mode.
void load_weights(nn::Module& module, const Recipe& recipe, const std::string& checkpoint);

LoadedRun load_run(const std::string& run_or_checkpoint, TaskUse use,
                   const std::vector<std::string>& overrides = {}, const Warning& warn = {});

}  // namespace heed::recipes
