#include "recipes/engine/hf/files.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "core/error.h"
#include "core/files.h"

namespace heed::recipes::hf {
namespace {

namespace fs = std::filesystem;

constexpr char kSlash = '%';  // in the names of kept files

using Files = std::vector<std::pair<std::string, std::string>>;

template <class Take>
Files files_of(const std::string& folder, Take&& take) {
  Files files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && take(name)) files.emplace_back(entry.path().string(), name);
  }
  std::sort(files.begin(), files.end());
  return files;
}

// "1_Pooling": the name of such a part's folder. It leads nowhere else.
bool is_part(const std::string& name) {
  return name.size() > 1 && name[0] >= '0' && name[0] <= '9' && name[1] == '_';
}

// "runs/new" as "runs", "new"; "new/" as ".", "new".
std::pair<fs::path, std::string> parent_and_name(const std::string& folder) {
  fs::path path = fs::absolute(folder).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  return {path.parent_path(), path.filename().string()};
}

}  // namespace

Files kept_files(const std::string& folder) {
  constexpr std::array kEndings = {".json", ".txt", ".model", ".jinja", ".md"};
  Files files = files_of(folder, [&](const std::string& name) {
    if (name == kTokenizer || name == kRecipe || name.ends_with(".index.json")) return false;
    return std::any_of(kEndings.begin(), kEndings.end(),
                       [&](const char* ending) { return name.ends_with(ending); });
  });
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string part = entry.path().filename().string();
    const fs::path config = entry.path() / kConfig;
    if (!is_part(part) || !fs::is_regular_file(config)) continue;
    files.emplace_back(config.string(), fmt::format("{}{}{}", part, kSlash, kConfig));
  }
  return files;
}

Files files_kept_in(const std::string& checkpoint) {
  Files files =
      files_of(checkpoint, [](const std::string& name) { return name.starts_with(kKept); });
  for (auto& [path, name] : files) {
    name = name.substr(std::string(kKept).size());
    const size_t slash = name.find(kSlash);
    if (slash == std::string::npos || !is_part(name)) continue;
    if (name.substr(slash + 1) == kConfig) name[slash] = '/';
  }
  return files;
}

std::string name_of_folder(const std::string& folder) { return parent_and_name(folder).second; }

std::string start_folder(const std::string& destination) {
  if (fs::exists(destination) && (!fs::is_directory(destination) || !fs::is_empty(destination))) {
    fail_request("{}: exists already; give a new folder", destination);
  }
  const auto [parent, name] = parent_and_name(destination);
  const std::string started = (parent / fmt::format(".writing-{}", name)).string();
  remove_tree(started);  // of a process that was killed
  make_directories(started);
  return started;
}

void finish_folder(const std::string& started, const std::string& destination) {
  sync_path(started);
  const auto [parent, name] = parent_and_name(destination);
  if (fs::exists(destination)) fs::remove(destination);  // an empty one
  rename_durably(started, (parent / name).string());
}

void drop_folder(const std::string& started) { remove_tree(started); }

}  // namespace heed::recipes::hf
