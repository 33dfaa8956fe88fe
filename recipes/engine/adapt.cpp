#include "recipes/engine/adapt.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <vector>

#include "core/safetensors.h"
#include "nn/layers/linear.h"
#include "nn/resized_table.h"
#include "recipes/engine/recipe_tree.h"

namespace heed::recipes {
namespace {

/// Calls `fn(path, module)` for the modules of type T that a pattern matches. Each pattern matches
/// one at least.
template <class T, class Fn>
void for_matches(nn::Module& root, const char* field, const std::vector<std::string>& patterns,
                 Fn&& fn) {
  const auto modules = root.named_modules();
  for (const std::string& pattern : patterns) {
    bool any = false;
    for (const auto& [path, module] : modules) {
      auto* target = dynamic_cast<T*>(module);
      if (target == nullptr || is_update(path) || !optim::glob_match(pattern, path)) continue;
      any = true;
      fn(*target);
    }
    if (!any) fail_request("lora.{}: '{}' matches nothing in the model", field, pattern);
  }
}

NamedTensors weights_of(const std::string& path, const Warning& warn) {
  if (path.ends_with(".safetensors")) return read_safetensors(path).tensors;
  const std::string checkpoint = find_checkpoint(path, warn).path;
  const std::string recipe = (std::filesystem::path(checkpoint) / "recipe.yaml").string();
  const bool averaged = recipe_from_config(read_yaml_file(recipe)).evaluation.use_ema;
  return inference_weights(read_checkpoint(checkpoint), averaged);
}

}  // namespace

void adapt(nn::Module& module, const AdaptOptions& options) {
  if (options.rank == 0) return;
  module.freeze();
  const auto update = [&](const char* field, const std::vector<std::string>& targets, int64_t rank,
                          double alpha) {
    for_matches<nn::Linear>(module, field, targets, [&](nn::Linear& layer) {
      if (!layer.lora) layer.adapt({rank, alpha, options.dropout});
    });
  };
  for (const AdaptGroup& group : options.groups) {
    update("groups", group.targets, group.rank, group.alpha);
  }
  update("targets", options.targets, options.rank, options.alpha);
  for_matches<nn::Module>(module, "also", options.also, [](nn::Module& own) { own.freeze(false); });
}

void merge_updates(nn::Module& module) {
  for (const auto& [path, layer] : module.named_modules()) {
    if (auto* linear = dynamic_cast<nn::Linear*>(layer)) linear->merge();
  }
}

bool is_update(const std::string& name) {
  return name.starts_with("lora.") || name.find(".lora.") != std::string::npos;
}

namespace {

/// What a module makes of a tensor that has its parameter's name but not its shape (a table of
/// positions of another grid); undefined where nothing.
Tensor resized(nn::Module& root, const std::string& name, const Tensor& given, const Shape& shape) {
  for (const auto& [path, module] : root.named_modules()) {
    const auto* resizes = dynamic_cast<const nn::ResizesTables*>(module);
    const std::string prefix = path.empty() ? "" : path + ".";
    if (resizes == nullptr || !name.starts_with(prefix)) continue;
    const Tensor fitted = resizes->resized_table(name.substr(prefix.size()), given);
    if (fitted.defined() && fitted.shape() == shape) return fitted;
  }
  return {};
}

}  // namespace

void start_from(nn::Module& module, const std::string& path, const Warning& warn) {
  std::map<std::string, Tensor> given;
  for (auto& [name, tensor] : weights_of(path, warn)) given.emplace(name, tensor);
  NamedTensors state;
  std::vector<std::string> kept;
  for (const auto& [name, own] : nn::state_dict(module)) {
    const auto found = given.find(name);
    Tensor taken = found == given.end() ? Tensor() : found->second;
    if (taken.defined() && !(taken.shape() == own.shape())) {
      taken = resized(module, name, taken, own.shape());
    }
    const bool fits = taken.defined();
    state.emplace_back(name, fits ? taken : own);
    if (!fits && !is_update(name)) kept.push_back(name);
    if (fits) given.erase(found);
  }
  const size_t updates = static_cast<size_t>(std::count_if(
      state.begin(), state.end(), [](const auto& entry) { return is_update(entry.first); }));
  if (kept.size() + updates == state.size()) {
    fail_request("train.from: no tensor of {} fits this model", path);
  }
  nn::load_state_dict(module, state);
  if (!kept.empty() && warn) {
    warn(fmt::format("{} has nothing that fits: {}; they keep their initial values", path,
                     fmt::join(kept, ", ")));
  }
}

}  // namespace heed::recipes
