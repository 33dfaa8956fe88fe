#include "recipes/engine/hf/peft_options.h"

#include <algorithm>
#include <set>

#include "nn/layers/linear.h"
#include "optim/optimizer.h"
#include "recipes/engine/hf/tensor_map.h"

namespace heed::recipes::hf {
namespace {

// "text.blocks.3.attn.qkv" as "text.blocks.*.attn.qkv".
std::string any_block(const std::string& path) {
  return with_number(without_number(path).first, "*");
}

// Globs that match these paths and no other linear layer.
std::vector<std::string> globs_of(const std::set<std::string>& paths, nn::Module& module) {
  const auto modules = module.named_modules();
  const auto matches_another = [&](const std::string& glob) {
    return std::any_of(modules.begin(), modules.end(), [&](const auto& entry) {
      return optim::glob_match(glob, entry.first) && !paths.contains(entry.first) &&
             dynamic_cast<const nn::Linear*>(entry.second) != nullptr;
    });
  };
  std::vector<std::string> globs;
  for (const std::string& path : paths) {
    std::string glob = any_block(path);
    if (std::find(globs.begin(), globs.end(), glob) != globs.end()) continue;
    globs.push_back(matches_another(glob) ? path : glob);
  }
  return globs;
}

// The modules that were trained whole.
std::vector<std::string> whole_modules(const Adapter& adapter, nn::Module& module) {
  std::set<std::string> paths;
  for (const auto& [name, tensor] : adapter.saved) {
    const size_t dot = name.rfind('.');
    const std::string path = dot == std::string::npos ? "" : name.substr(0, dot);
    for (const auto& other : module.named_tensors()) {
      const bool within = path.empty() || other.name.starts_with(path + ".");
      if (!within || !other.trained || adapter.saved.contains(other.name)) continue;
      fail_request(
          "the adapter trained '{}' whole, and not '{}' of the same module; a recipe names modules "
          "(--merge adds the adapter to the weights)",
          name, other.name);
    }
    paths.insert(path);
  }
  return {paths.begin(), paths.end()};
}

}  // namespace

AdaptOptions options_of(const Adapter& adapter, nn::Module& module) {
  struct Same {
    int64_t rank;
    double alpha;
    std::set<std::string> paths;
  };
  std::vector<Same> kinds;
  for (const auto& [path, update] : adapter.updates) {
    const int64_t rank = update.down.size(0);
    const double alpha = update.alpha;
    auto kind = std::find_if(kinds.begin(), kinds.end(),
                             [&](const Same& k) { return k.rank == rank && k.alpha == alpha; });
    if (kind == kinds.end()) kind = kinds.insert(kinds.end(), {rank, alpha, {}});
    kind->paths.insert(path);
  }
  std::stable_sort(kinds.begin(), kinds.end(),
                   [](const Same& a, const Same& b) { return a.paths.size() > b.paths.size(); });
  AdaptOptions options;
  options.rank = kinds.front().rank;
  options.alpha = kinds.front().alpha;
  options.dropout = adapter.dropout;
  options.targets = globs_of(kinds.front().paths, module);
  for (size_t i = 1; i < kinds.size(); ++i) {
    options.groups.push_back({globs_of(kinds[i].paths, module), kinds[i].rank, kinds[i].alpha});
  }
  options.also = whole_modules(adapter, module);
  return options;
}

}  // namespace heed::recipes::hf
