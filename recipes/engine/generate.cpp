#include "recipes/engine/generate.h"

#include <filesystem>

#include "core/files.h"
#include "recipes/engine/evaluate.h"

namespace heed::recipes {

void GenerateOptions::options(Options& o) {
  o.field("max_tokens", max_tokens, "tokens to write at most", {.min = 1});
  o.field("temperature", temperature, "divides the logits; 0 takes the likeliest token",
          {.min = 0});
  o.field("top_k", top_k, "draw from the k likeliest tokens; 0 for all", {.min = 0});
  o.field("top_p", top_p, "draw from the likeliest tokens that hold this much probability",
          {.max = 1, .above = 0});
  o.field("greedy", greedy, "take the likeliest token always");
  o.field("seed", seed, "of the draws", {.min = 0});
  o.field("stop", stop, "texts that end what is written");
}

GenerateOptions options_from(const Recipe& recipe) {
  GenerateOptions options;
  options.max_tokens = recipe.samples.max_tokens;
  options.temperature = recipe.samples.temperature;
  options.top_k = recipe.samples.top_k;
  options.top_p = recipe.samples.top_p;
  options.seed = recipe.seed;
  return options;
}

GenerateOptions default_generate_options(const std::string& run_or_checkpoint) {
  const CheckpointInfo checkpoint = find_checkpoint(run_or_checkpoint);
  const auto path = std::filesystem::path(checkpoint.path) / "recipe.yaml";
  return options_from(load_recipe(path.string()));
}

Generated generate(const std::string& run_or_checkpoint, const std::string& prompt,
                   const GenerateOptions& options, const TokenCallback& on_token,
                   const std::vector<std::string>& overrides, const Warning& warn) {
  const LoadedRun run = load_run(run_or_checkpoint, TaskUse::generate, overrides, warn);
  Generated generated = run.task->generate(prompt, options, on_token);
  if (warn && !generated.warning.empty()) warn(generated.warning);
  return generated;
}

std::vector<std::string> generate_files(const std::string& run_or_checkpoint,
                                        const std::string& path, int64_t count,
                                        std::optional<int64_t> seed,
                                        const std::vector<std::string>& overrides,
                                        const Warning& warn) {
  if (seed && *seed < 0) fail_request("the seed of the draws must be at least 0, not {}", *seed);
  const std::filesystem::path file(path);
  const LoadedRun run = load_run(run_or_checkpoint, TaskUse::generate, overrides, warn);
  if (file.extension() != run.task->sample_extension()) {
    fail_request("{}: the task '{}' writes {} files", path, run.task->name(),
                 run.task->sample_extension());
  }
  SampleOptions options = run.recipe.samples;
  if (count > 0) options.count = count;
  const std::string folder = file.has_parent_path() ? file.parent_path().string() : ".";
  make_directories(folder);
  return run.task->write_samples(folder, file.stem().string(), options,
                                 seed.value_or(run.recipe.seed));
}

}  // namespace heed::recipes
