#include "recipes/engine/hf/source.h"

#include <algorithm>
#include <filesystem>

#include "nn/registry.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/checkpoint_files.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/files.h"

namespace heed::recipes::hf {
namespace {

using checkpoint_files::join;

NamedTensors weights_of(const std::string& checkpoint, const SafetensorsFile& file,
                        CheckpointContent content, bool averaged, Updates updates,
                        const Warning& warn) {
  content.model = file.tensors;
  NamedTensors weights = inference_weights(content, averaged);
  const bool any = std::any_of(weights.begin(), weights.end(),
                               [](const auto& entry) { return is_update(entry.first); });
  if (!any || updates == Updates::apart) return weights;
  const LoadedRun run = load_run(checkpoint, TaskUse::generate, {}, warn);
  merge_updates(run.task->module());
  weights = nn::state_dict(run.task->module());
  std::erase_if(weights, [](const auto& entry) { return is_update(entry.first); });
  return weights;
}

}  // namespace

Source read_source(const std::string& checkpoint, const CheckpointContent& content, Updates updates,
                   const Warning& warn) {
  const std::string recipe_file = join(checkpoint, "recipe.yaml");
  const Config tree = parse_yaml(content.recipe_yaml, recipe_file);
  Source source;
  source.recipe = recipe_from_config(tree);
  source.file = std::make_shared<const SafetensorsFile>(read_safetensors(checkpoint));
  source.weights = weights_of(checkpoint, *source.file, content, source.recipe.evaluation.use_ema,
                              updates, warn);
  const Config& model = tree.at("model");
  const nn::ModuleEntry& entry = nn::find_module(model.at("type").as_string(), "model");
  source.model = entry.resolve(model);
  for (const auto& [path, name] : files_kept_in(checkpoint)) {
    if (name == kConfig) source.carried = read_json_file(path);
  }
  return source;
}

Config with_hidden(const Source& source) {
  Config model = source.model;
  const Config* hidden = model.find("hidden");
  if (hidden == nullptr || hidden->as_integer() > 0) return model;
  for (const auto& [name, tensor] : source.weights) {
    if (name == "blocks.0.mlp.down.weight") model.set("hidden", tensor.size(1));
  }
  return model;
}

const Family* family_for(const Source& source, const Config& model) {
  if (source.carried) {
    const Config* type = source.carried->find("model_type");
    const Family* own = type == nullptr ? nullptr : find_family(type->as_string());
    if (own != nullptr && expresses(*own, model)) return own;
  }
  for (const Family& family : families()) {
    if (expresses(family, model)) return &family;
  }
  return nullptr;
}

}  // namespace heed::recipes::hf
