// The command that runs a plan.
#include <algorithm>

#include "recipes/engine/plan/plan.h"

namespace heed::recipes {

namespace {

std::string key_of(const std::string& override_text) {
  return override_text.substr(0, override_text.find('='));
}

/// What the plan sets, as overrides: the batch and the mesh, and of the rest what the recipe has
/// otherwise.
std::vector<std::string> overrides_of(const Plan& plan) {
  const Share& share = plan.best.share;
  const ParallelOptions& recipe = plan.parallel;
  std::vector<std::string> all;
  const auto set = [&all](const char* key, const auto& value) {
    all.push_back(fmt::format("{}={}", key, value));
  };
  const auto axis = [&](const char* key, int64_t ranks, int64_t in_recipe) {
    if (ranks > 1 || in_recipe > 1) set(key, ranks);
  };
  set("parallel.data", share.mesh.data);
  axis("parallel.pipeline", share.mesh.pipeline, recipe.pipeline);
  axis("parallel.sequence", share.mesh.sequence, recipe.sequence);
  axis("parallel.tensor", share.mesh.tensor, recipe.tensor);
  if (share.mesh.sequence > 1) set("parallel.sequence_attention", name_of(share.method));
  if (const std::string& shard = name_of(share.sharding); shard != recipe.shard) {
    set("parallel.shard", shard);
  }
  set("train.batch_size", share.rows);
  set("train.accumulation", share.micro_batches);
  if (share.checkpointing != plan.model.checkpointing) {
    set("model.checkpointing", share.checkpointing);
  }
  return all;
}

}  // namespace

std::vector<std::string> run_command(const Plan& plan) {
  std::vector<std::string> command;
  if (plan.request.ranks > 1) {
    command = {"mpirun", "-np", std::to_string(plan.request.ranks)};
  }
  command.insert(command.end(), {"heed", "train", plan.file.empty() ? "RECIPE" : plan.file});
  const std::vector<std::string> own = overrides_of(plan);
  for (const std::string& given : plan.request.overrides) {
    const auto replaces = [&](const std::string& mine) { return key_of(mine) == key_of(given); };
    if (std::none_of(own.begin(), own.end(), replaces)) command.push_back(given);
  }
  command.insert(command.end(), own.begin(), own.end());
  return command;
}

}  // namespace heed::recipes
