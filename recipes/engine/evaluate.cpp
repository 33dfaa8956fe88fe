#include "recipes/engine/evaluate.h"

#include <chrono>
#include <filesystem>

#include "distributed/world.h"
#include "recipes/engine/recipe_tree.h"

namespace heed::recipes {
namespace {

Recipe saved_recipe(const std::string& checkpoint, const std::vector<std::string>& overrides) {
  const std::string path = (std::filesystem::path(checkpoint) / "recipe.yaml").string();
  return load_recipe(path, overrides);
}

}  // namespace

void load_weights(nn::Module& module, const Recipe& recipe, const std::string& checkpoint) {
  const CheckpointContent content = read_checkpoint(checkpoint);
  nn::load_state_dict(module, inference_weights(content, recipe.evaluation.use_ema));
  module.to(device_of_rank(recipe.device));
  module.eval();
}

LoadedRun load_run(const std::string& run_or_checkpoint, TaskUse use,
                   const std::vector<std::string>& overrides, const Warning& warn) {
  LoadedRun run;
  run.checkpoint = find_checkpoint(run_or_checkpoint, warn);
  run.recipe = saved_recipe(run.checkpoint.path, overrides);
  run.task = make_task(run.recipe, use, run.checkpoint.path);
  load_weights(run.task->module(), run.recipe, run.checkpoint.path);
  return run;
}

Evaluation evaluate(const std::string& run_or_checkpoint, const std::vector<std::string>& overrides,
                    const Progress& progress, const Warning& warn) {
  const auto start = std::chrono::steady_clock::now();
  LoadedRun run;
  agree(world(), [&] {
    run = load_run(run_or_checkpoint, TaskUse::evaluate, overrides, warn);
    const bool own = run.recipe.evaluation.batch_size > 0;
    check_rows_share_out(own ? "evaluation.batch_size" : "train.batch_size",
                         own ? run.recipe.evaluation.batch_size : run.recipe.train.batch_size,
                         world().size());
  });
  Evaluation result;
  result.checkpoint = run.checkpoint.path;
  result.step = run.checkpoint.step;
  result.metrics = run.task->evaluate(run.recipe.evaluation, world(), progress);
  if (world().rank() == 0) result.baselines = run.task->baselines(run.recipe.evaluation);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace heed::recipes
