#include "recipes/engine/onnx/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <memory>

#include "core/files.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/onnx/export.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

/// A task with the weights that are exported.
struct Source {
  Exported exported;
  std::unique_ptr<Task> task;
};

Source source_of(const std::string& path, const Warning& warn) {
  Source source;
  if (fs::is_regular_file(path)) {
    const Recipe recipe = load_recipe(path);
    source.exported.checkpoint = path;
    source.task = make_task(recipe, TaskUse::train);
    source.task->module().initialise(recipe.seed);
    return source;
  }
  LoadedRun run = load_run(path, TaskUse::generate, {}, warn);
  source.exported.checkpoint = run.checkpoint.path;
  source.exported.step = run.checkpoint.step;
  source.task = std::move(run.task);
  return source;
}

}  // namespace

Exported export_to_onnx(const std::string& run_or_recipe, const std::string& destination,
                        const onnx::Sizes& sizes, int64_t most_bytes, const Warning& warn) {
  if (fs::is_directory(destination)) {
    fail_request("export: '{}' is a folder; give the name of a file, such as {}", destination,
                 (fs::path(destination) / "model.onnx").string());
  }
  Source source = source_of(run_or_recipe, warn);
  nn::Module& trained = source.task->module();
  trained.to(kCpu);
  merge_updates(trained);
  auto weights = nn::state_dict(trained);
  std::erase_if(weights, [](const auto& entry) { return is_update(entry.first); });

  // In f32, whatever the recipe computes in, and without what training adds.
  const Config config = source.task->export_config();
  const nn::ModuleEntry& entry = nn::find_module(config.at("type").as_string(), "model");
  const std::unique_ptr<nn::Module> module = entry.make(config);
  nn::load_state_dict(*module, weights);

  if (const fs::path folder = fs::path(destination).parent_path(); !folder.empty())
    make_directories(folder.string());
  const onnx::Written written = onnx::write(onnx::model_of(*module, config, sizes), destination,
                                            std::min(most_bytes, onnx::kMostBytes));
  Exported& exported = source.exported;
  exported.files = written.files;
  for (const auto& [name, tensor] : written.inputs)
    exported.inputs.push_back(name + " " + tensor.to_string());
  for (const auto& [name, tensor] : written.outputs)
    exported.outputs.push_back(name + " " + tensor.to_string());
  return exported;
}

}  // namespace heed::recipes
