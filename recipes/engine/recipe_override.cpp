// Overrides: key.path=value set in a tree.
#include <algorithm>
#include <cctype>

#include "recipes/engine/recipe_tree.h"

namespace heed::recipes {
namespace {

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
  if (last && key == "type" && is_registry_section(assignment.path.front()) &&
      inherited != nullptr && !(*inherited == assignment.value)) {
    node = placed(Config::map(), assignment.where);
  }
  if (node.find(key) == nullptr) node.set(key, placed(Config(), assignment.where));
  assign(*node.find(key), assignment, depth + 1);
}

}  // namespace

void apply_override(Config& tree, const std::string& text) {
  assign(tree, parse_assignment(text), 0);
}

}  // namespace heed::recipes
