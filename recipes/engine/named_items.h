// Lists of named things in a YAML file (arms, points, tests): where they stand, and that their
// names can be folders' and tell them apart.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/error.h"

namespace heed::recipes {

inline bool is_folder_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

template <class T>
std::vector<std::string> names_of(const std::vector<T>& items) {
  std::vector<std::string> names;
  for (const T& item : items) names.push_back(item.name);
  return names;
}

/// The place of list[index].key in the file's tree, or the nearest place above it.
inline SourceLocation place(const Config& tree, const char* list, size_t index, const char* key) {
  const Config* items = tree.find(list);
  if (items == nullptr || !items->is_list() || index >= items->as_list().size()) {
    return items == nullptr ? tree.where() : items->where();
  }
  const Config& item = items->as_list()[index];
  const Config* value = item.find(key);
  return value == nullptr ? item.where() : value->where();
}

/// A RequestError for a name that cannot be a folder's, or that is used twice.
template <class T>
void check_names(const Config& tree, const char* list, const std::vector<T>& items) {
  const std::vector<std::string> names = names_of(items);
  for (size_t i = 0; i < names.size(); ++i) {
    if (!is_folder_name(names[i])) {
      fail_request(place(tree, list, i, "name"),
                   fmt::format("'{}': a name is made of letters, digits, '-', '_' and '.', got "
                               "'{}'",
                               list, names[i]));
    }
    const auto here = names.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::find(names.begin(), here, names[i]) != here) {
      fail_request(place(tree, list, i, "name"),
                   fmt::format("'{}': the name '{}' is used twice", list, names[i]));
    }
  }
}

/// A RequestError, with the nearest name, unless `name` is known.
inline void check_known(const std::string& name, const std::vector<std::string>& known,
                        const SourceLocation& where, const char* what) {
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  fail_request(where, fmt::format("there is no {} '{}'{}; known: {}", what, name,
                                  did_you_mean(name, known), fmt::join(known, ", ")));
}

}  // namespace heed::recipes
