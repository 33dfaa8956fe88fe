// File paths of a recipe: environment variables, and the folder that relative ones start at.
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "recipes/engine/recipe_tree.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

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

// A data section's, and those of the datasets inside it.
void resolve_data(Config& data) {
  for (const char* key :
       {"files", "validation_files", "test_files", "fallback", "folder", "validation_folder",
        "file", "train", "validation", "test", "train_images", "train_labels", "validation_images",
        "validation_labels", "test_images", "test_labels", "targets", "inputs"}) {
    resolve_in(data, key);
  }
  if (Config* tokenizer = data.find("tokenizer")) resolve_in(*tokenizer, "file");
  if (Config* corpora = data.find("corpora"); corpora != nullptr && corpora->is_list()) {
    Config::List items = corpora->as_list();
    for (Config& item : items) resolve_in(item, "folder");
    const SourceLocation where = corpora->where(), key_where = corpora->key_where();
    *corpora = Config(std::move(items));
    corpora->set_where(where).set_key_where(key_where);
  }
  for (const char* key : {"train", "validation", "test", "images"}) {
    Config* inner = data.find(key);
    if (inner != nullptr && inner->is_map()) resolve_data(*inner);
  }
}

}  // namespace

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

void resolve_paths(Config& tree) {
  if (Config* task = tree.find("task")) resolve_in(*task, "teacher");
  if (Config* train = tree.find("train")) resolve_in(*train, "from");
  Config* data = tree.find("data");
  if (data != nullptr && data->is_map()) resolve_data(*data);
}

}  // namespace heed::recipes
