#include "recipes/engine/recipe_tree.h"

#include <algorithm>
#include <filesystem>

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

bool changes_type(const Config& base, const Config& over) {
  const Config* from = base.find("type");
  const Config* to = over.find("type");
  return from != nullptr && to != nullptr && !(*from == *to);
}

void merge(Config& base, const Config& over, bool typed) {
  for (const auto& [key, value] : over.as_map()) {
    Config* inherited = base.find(key);
    const bool typed_below = typed || is_registry_section(key);
    if (inherited == nullptr) {
      base.set(key, value);
    } else if (inherited->is_map() && value.is_map() &&
               !(typed_below && changes_type(*inherited, value))) {
      merge(*inherited, value, typed_below);
    } else {
      *inherited = value;
    }
  }
}

std::vector<Config> bases_of(const Config& tree) {
  const Config* extends = tree.find("extends");
  if (extends == nullptr) return {};
  std::vector<Config> bases;
  if (extends->is_string()) {
    bases.push_back(*extends);
  } else if (extends->is_list()) {
    bases = extends->as_list();
  }
  const bool files =
      std::all_of(bases.begin(), bases.end(), [](const Config& base) { return base.is_string(); });
  if (bases.empty() || !files) {
    fail_request(extends->where(), "extends: needs a file or a list of files");
  }
  return bases;
}

/// `chain`: the files being read, outermost first.
Config load_with_bases(const std::string& path, std::vector<std::string>& chain) {
  chain.push_back(fs::weakly_canonical(path).string());
  Config own = read_yaml_file(path);
  if (!own.is_map()) {
    fail_request({path, 1, 1}, "a recipe is a map of sections (model, data, train, ...)");
  }
  Config tree = Config::map();
  tree.set_where(own.where());
  for (const Config& base : bases_of(own)) {
    const std::string file = resolve_path(base);
    if (!fs::exists(file)) {
      fail_request(base.where(), "extends: there is no file '" + file + "'");
    }
    const std::string canonical = fs::weakly_canonical(file).string();
    const auto seen = std::find(chain.begin(), chain.end(), canonical);
    if (seen != chain.end()) {
      std::string cycle;
      for (auto it = seen; it != chain.end(); ++it) {
        cycle += fs::path(*it).filename().string() + " -> ";
      }
      fail_request(base.where(),
                   "extends: goes round: " + cycle + fs::path(file).filename().string());
    }
    merge_tree(tree, load_with_bases(file, chain));
  }
  own.erase("extends");
  merge_tree(tree, own);
  chain.pop_back();
  return tree;
}

void collect_changes(const std::string& path, const Config* before, const Config* after,
                     std::vector<std::string>& changes) {
  if (before != nullptr && after != nullptr && *before == *after) return;
  if (before == nullptr || after == nullptr || !before->is_map() || !after->is_map()) {
    const auto text = [](const Config* value) { return value ? value->to_json() : "absent"; };
    changes.push_back(fmt::format("{}: {} -> {}", path, text(before), text(after)));
    return;
  }
  std::vector<std::string> keys = after->keys();
  for (const std::string& key : before->keys()) {
    if (!after->has(key)) keys.push_back(key);
  }
  for (const std::string& key : keys) {
    const std::string below = path.empty() ? key : path + "." + key;
    collect_changes(below, before->find(key), after->find(key), changes);
  }
}

}  // namespace

std::vector<std::string> tree_changes(const Config& before, const Config& after) {
  std::vector<std::string> changes;
  collect_changes("", &before, &after, changes);
  return changes;
}

bool is_registry_section(const std::string& key) {
  return key == "model" || key == "task" || key == "data";
}

void merge_tree(Config& base, const Config& over) { merge(base, over, false); }

Config load_recipe_tree(const std::string& path, const std::vector<std::string>& overrides) {
  std::vector<std::string> chain;
  Config tree = load_with_bases(path, chain);
  for (const std::string& override_text : overrides) apply_override(tree, override_text);
  return tree;
}

}  // namespace heed::recipes
