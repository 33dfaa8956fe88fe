#include "recipes/engine/recipe_tree.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

/// Sections whose maps belong to the registry entry that their `type` names.
bool is_typed_section(const std::string& key) {
  return key == "model" || key == "task" || key == "data";
}

bool changes_type(const Config& base, const Config& over) {
  const Config* from = base.find("type");
  const Config* to = over.find("type");
  return from != nullptr && to != nullptr && !(*from == *to);
}

void merge(Config& base, const Config& over, bool typed) {
  for (const auto& [key, value] : over.as_map()) {
    Config* inherited = base.find(key);
    const bool typed_below = typed || is_typed_section(key);
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

/// The same value with every place set to `where`.
Config placed(const Config& value, const SourceLocation& where) {
  Config copy = value;
  if (value.is_list()) {
    Config::List items;
    for (const Config& item : value.as_list()) items.push_back(placed(item, where));
    copy = Config(std::move(items));
  } else if (value.is_map()) {
    copy = Config::map();
    for (const auto& [key, member] : value.as_map()) copy.set(key, placed(member, where));
  }
  copy.set_where(where).set_key_where(where);
  return copy;
}

struct Assignment {
  std::vector<std::string> path;
  Config value;
  SourceLocation where;

  std::string path_up_to(size_t count) const {
    std::string text;
    for (size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ".") + path[i];
    return text;
  }
};

Assignment parse_assignment(const std::string& text) {
  Assignment result;
  result.where.file = "override '" + text + "'";
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail_request(result.where, "an override is written key=value, as in train.steps=500");
  }
  std::string segment;
  for (const char c : text.substr(0, equals) + ".") {
    if (c != '.') {
      segment += c;
      continue;
    }
    if (segment.empty()) fail_request(result.where, "the key has an empty part");
    result.path.push_back(segment);
    segment.clear();
  }
  const std::string value = text.substr(equals + 1);
  result.value = value.empty() ? Config("") : parse_yaml(value, result.where.file);
  result.value = placed(result.value, result.where);
  return result;
}

void assign(Config& node, const Assignment& assignment, size_t depth);

void assign_in_list(Config& list, const Assignment& assignment, size_t depth) {
  const std::string& segment = assignment.path[depth];
  Config::List items = list.as_list();
  const bool number =
      segment.size() < 10 && std::all_of(segment.begin(), segment.end(),
                                         [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!number || std::stoul(segment) >= items.size()) {
    fail_request(assignment.where,
                 fmt::format("'{}' is a list of {}: '{}' is no index of it",
                             assignment.path_up_to(depth), items.size(), segment));
  }
  assign(items[std::stoul(segment)], assignment, depth + 1);
  const SourceLocation where = list.where(), key_where = list.key_where();
  list = Config(std::move(items));
  list.set_where(where).set_key_where(key_where);
}

void assign(Config& node, const Assignment& assignment, size_t depth) {
  if (depth == assignment.path.size()) {
    node = assignment.value;
    return;
  }
  if (node.is_list()) {
    assign_in_list(node, assignment, depth);
    return;
  }
  if (!node.is_map() && !node.is_null()) {
    fail_request(assignment.where,
                 fmt::format("'{}' is {}, not a map with '{}'", assignment.path_up_to(depth),
                             node.summary(), assignment.path[depth]));
  }
  const std::string& key = assignment.path[depth];
  const bool last = depth + 1 == assignment.path.size();
  const Config* inherited = node.find(key);
  if (last && key == "type" && is_typed_section(assignment.path.front()) && inherited != nullptr &&
      !(*inherited == assignment.value)) {
    node = placed(Config::map(), assignment.where);
  }
  if (node.find(key) == nullptr) node.set(key, placed(Config(), assignment.where));
  assign(*node.find(key), assignment, depth + 1);
}

/// The folder that HEED_DATA stands for when it is not set.
std::optional<std::string> nearby_data(fs::path folder) {
  for (folder = fs::absolute(folder).lexically_normal();; folder = folder.parent_path()) {
    std::error_code ignored;
    if (fs::is_directory(folder / "shared" / "data", ignored)) {
      return (folder / "shared" / "data").string();
    }
    if (folder == folder.parent_path()) return std::nullopt;
  }
}

std::string variable(const std::string& name, const fs::path& folder, const Config& value) {
  if (const char* text = std::getenv(name.c_str()); text != nullptr && *text != '\0') return text;
  if (name == "HEED_DATA") {
    if (const auto found = nearby_data(folder)) return *found;
    if (const auto found = nearby_data(fs::current_path())) return *found;
    fail_request(value.where(),
                 "HEED_DATA is not set, and there is no shared/data in a folder above: set it to "
                 "the folder that holds the data sets (" +
                     value.as_string() + ")");
  }
  fail_request(value.where(), "the environment variable " + name + " is not set");
}

/// The folder that relative paths of this value start at.
fs::path folder_of(const Config& value) {
  const SourceLocation& where = value.where();
  if (where.file.empty() || where.line == 0) return fs::current_path();
  return fs::absolute(where.file).parent_path();
}

void resolve_in(Config& section, const std::string& key) {
  Config* value = section.find(key);
  if (value == nullptr) return;
  if (value->is_string()) {
    const Config before = *value;
    *value = Config(resolve_path(before));
    value->set_where(before.where()).set_key_where(before.key_where());
  } else if (value->is_list()) {
    Config::List items = value->as_list();
    for (Config& item : items) {
      if (!item.is_string()) continue;
      const SourceLocation where = item.where();
      item = Config(resolve_path(item));
      item.set_where(where);
    }
    const SourceLocation where = value->where(), key_where = value->key_where();
    *value = Config(std::move(items));
    value->set_where(where).set_key_where(key_where);
  }
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

void merge_tree(Config& base, const Config& over) { merge(base, over, false); }

void apply_override(Config& tree, const std::string& text) {
  assign(tree, parse_assignment(text), 0);
}

std::string resolve_path(const Config& value) {
  const std::string& written = value.as_string();
  const fs::path folder = folder_of(value);
  std::string path;
  for (size_t i = 0; i < written.size();) {
    const size_t close =
        written.compare(i, 2, "${") == 0 ? written.find('}', i) : std::string::npos;
    if (close == std::string::npos) {
      path += written[i++];
      continue;
    }
    path += variable(written.substr(i + 2, close - i - 2), folder, value);
    i = close + 1;
  }
  if (path.empty() || path.front() == '/' || path.starts_with("~/")) return path;
  return (folder / path).lexically_normal().string();
}

Config load_recipe_tree(const std::string& path, const std::vector<std::string>& overrides) {
  std::vector<std::string> chain;
  Config tree = load_with_bases(path, chain);
  for (const std::string& override_text : overrides) apply_override(tree, override_text);
  return tree;
}

void resolve_paths(Config& tree) {
  Config* data = tree.find("data");
  if (data == nullptr || !data->is_map()) return;
  for (const char* key : {"files", "validation_files", "fallback", "folder"}) {
    resolve_in(*data, key);
  }
  if (Config* tokenizer = data->find("tokenizer")) resolve_in(*tokenizer, "file");
}

}  // namespace heed::recipes
