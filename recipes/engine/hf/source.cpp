#include "recipes/engine/hf/source.h"

#include <algorithm>
#include <filesystem>

#include "nn/registry.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/checkpoint_files.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/files.h"

namespace heed::recipes::hf {
namespace {

using checkpoint_files::join;

// The model with its updates merged.
NamedTensors merged(const nn::ModuleEntry& entry, const Source& source) {
  const auto module = entry.make(source.model);
  const bool precise = std::any_of(source.weights.begin(), source.weights.end(),
                                   [](const auto& w) { return w.second.dtype() == DType::f64; });
  if (precise) module->convert(DType::f64);
  adapt(*module, source.recipe.lora);
  nn::load_state_dict(*module, source.weights);
  merge_updates(*module);
  NamedTensors weights;
  for (const auto& [name, tensor] : nn::state_dict(*module)) {
    if (!is_update(name)) weights.emplace_back(name, tensor.detach());
  }
  return weights;
}

}  // namespace

Source read_source(const std::string& checkpoint, const CheckpointContent& content,
                   Updates updates) {
  const std::string recipe_file = join(checkpoint, "recipe.yaml");
  const Config tree = parse_yaml(content.recipe_yaml, recipe_file);
  Source source;
  source.recipe = recipe_from_config(tree);
  source.file = std::make_shared<const SafetensorsFile>(read_safetensors(checkpoint));
  CheckpointContent mapped = content;
  mapped.model = source.file->tensors;
  source.weights = inference_weights(mapped, source.recipe.evaluation.use_ema);
  const Config& model = tree.at("model");
  const nn::ModuleEntry& entry = nn::find_module(model.at("type").as_string(), "model");
  source.model = entry.resolve(model);
  const bool any = std::any_of(source.weights.begin(), source.weights.end(),
                               [](const auto& weight) { return is_update(weight.first); });
  if (any && updates == Updates::merged) source.weights = merged(entry, source);
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
