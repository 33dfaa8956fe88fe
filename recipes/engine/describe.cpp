#include "recipes/engine/describe.h"

#include <algorithm>

#include "optim/optimizer.h"
#include "recipes/engine/task.h"

namespace heed::recipes {
namespace {

int depth_of(const std::string& path) {
  return path.empty() ? 0 : 1 + static_cast<int>(std::count(path.begin(), path.end(), '.'));
}

/// Name below its module: "blocks.0.attn.q.weight" under "blocks.0.attn.q" is "weight".
std::string own_name(const std::string& name, const std::string& path) {
  return path.empty() ? name : name.substr(path.size() + 1);
}

bool is_own(const std::string& name, const std::string& path) {
  if (!path.empty() && !name.starts_with(path + ".")) return false;
  return own_name(name, path).find('.') == std::string::npos;
}

std::vector<ModuleLine> module_tree(nn::Module& root) {
  std::vector<ModuleLine> lines;
  const auto tensors = root.named_tensors();
  for (const auto& [path, module] : root.named_modules()) {
    ModuleLine line{path, depth_of(path), module->parameter_count(), {}};
    for (const auto& named : tensors) {
      if (!is_own(named.name, path)) continue;
      line.tensors.push_back(fmt::format("{} {}{}", own_name(named.name, path), *named.tensor,
                                         named.trained ? "" : " (buffer)"));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

Description describe(const Recipe& recipe) {
  const std::unique_ptr<Task> task = make_task(recipe, TaskUse::train);
  nn::Module& module = task->module();

  Description d;
  d.name = recipe.name;
  d.description = recipe.description;
  d.data = task->data_summary();
  d.modules = module_tree(module);
  d.parameters = module.parameter_count();
  for (const auto& named : module.named_tensors()) {
    if (!named.trained) d.buffers += named.tensor->numel();
    d.parameter_bytes += named.tensor->bytes();
    if (named.trained && !named.frozen) d.gradient_bytes += named.tensor->bytes();
  }
  d.items_per_step = task->items_per_step();
  d.item_name = task->item_name();
  d.flops_per_step = task->flops_per_step();
  const auto optimizer = optim::make_optimizer(recipe.optimizer, nn::trained_tensors(module));
  d.optimizer_bytes = optimizer->state_bytes();
  if (recipe.train.ema > 0.0) d.ema_bytes = d.gradient_bytes;
  module.initialise(static_cast<uint64_t>(recipe.seed));  // numbers that a forward pass can take
  d.activation_bytes = task->activation_bytes();
  return d;
}

Config to_config(const Description& d) {
  Config modules = Config::list();
  for (const ModuleLine& line : d.modules) {
    Config tensors = Config::list();
    for (const std::string& tensor : line.tensors) tensors.append(tensor);
    Config entry = Config::map();
    entry.set("path", line.path);
    entry.set("parameters", line.parameters);
    entry.set("tensors", std::move(tensors));
    modules.append(std::move(entry));
  }
  Config memory = Config::map();
  memory.set("parameters", d.parameter_bytes);
  memory.set("gradients", d.gradient_bytes);
  memory.set("optimizer", d.optimizer_bytes);
  memory.set("ema", d.ema_bytes);
  memory.set("activations", d.activation_bytes);
  memory.set("total", d.total_bytes());

  Config document = Config::map();
  document.set("name", d.name);
  document.set("description", d.description);
  document.set("data", d.data);
  document.set("parameters", d.parameters);
  document.set("buffers", d.buffers);
  document.set(d.item_name + "_per_step", d.items_per_step);
  document.set("flops_per_step", d.flops_per_step);
  document.set("memory_bytes", std::move(memory));
  document.set("modules", std::move(modules));
  return document;
}

}  // namespace heed::recipes
