#include "tools/install_paths.h"

#include <algorithm>
#include <filesystem>

namespace heed::tools {
namespace fs = std::filesystem;

std::string recipes_folder() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* candidate : {"../recipes", "../../recipes", "../share/heed/recipes"}) {
    const fs::path path = (folder / candidate).lexically_normal();
    if (fs::is_directory(path / "base", error)) return path.string();
  }
  return "";
}

std::vector<std::string> recipe_files() {
  std::vector<std::string> files;
  const std::string root = recipes_folder();
  if (root.empty()) return files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file() && entry.path().extension() == ".yaml" &&
        entry.path().filename() != "claim.yaml") {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> paper_folders() {
  std::vector<std::string> slugs;
  const std::string root = recipes_folder();
  if (root.empty()) return slugs;
  for (const fs::directory_entry& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && name != "base" && name != "engine") slugs.push_back(name);
  }
  std::sort(slugs.begin(), slugs.end());
  return slugs;
}

}  // namespace heed::tools
