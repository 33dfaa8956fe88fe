// From a recipe file to one merged tree: `extends`, overrides, file paths.
//
//   extends: base.yaml            # or a list; relative to this file; later ones win
//   train: {steps: 500}           # maps merge key by key; lists and scalars replace
//
// In `model`, `task` and `data` (and maps below them) a `type` that differs from the inherited one
// replaces the whole map, since the other keys belonged to the other type.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"

namespace heed::recipes {

/// Reads a recipe with all it extends and applies the overrides in order. A chain that comes back
/// to itself is a RequestError naming every file of it.
Config load_recipe_tree(const std::string& path, const std::vector<std::string>& overrides = {});

/// Sections whose maps belong to the registry entry that their `type` names: model, task, data.
bool is_registry_section(const std::string& key);

/// Merges `over` into `base` by the rules above.
void merge_tree(Config& base, const Config& over);

/// Sets one value of the tree: "a.b.c=value", the value in YAML ("[1, 2]", "3e-4", "true", "text");
/// a number is an index of a list ("data.files.0=x.txt"). Nothing is checked against the schema
/// here: the values carry "override 'a.b.c=value'" as their place for whoever reads them.
void apply_override(Config& tree, const std::string& assignment);

/// The values that differ, as "train.steps: 12 -> 15", in the order of `after`; what only one of
/// the trees has is "absent" in the other.
std::vector<std::string> tree_changes(const Config& before, const Config& after);

/// A file path as written in a recipe: `${NAME}` is replaced by the environment's value, and a
/// relative path is taken from the folder of the file that it stands in (from the current folder in
/// an override). HEED_DATA, when unset, is the first `shared/data` found in a folder above.
std::string resolve_path(const Config& value);

/// Resolves the file paths under `data`, `task` and `train`, so that they mean the same wherever
/// the tree is read.
void resolve_paths(Config& tree);

}  // namespace heed::recipes
