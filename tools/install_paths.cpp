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

namespace {

/// The YAML files below the recipes' folder that are claims, or that are not, sorted.
std::vector<std::string> yaml_files(bool claims) {
  std::vector<std::string> files;
  const std::string root = recipes_folder();
  if (root.empty()) return files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    // Recipes lie in folders; beside these lies the list of papers.
    if (entry.is_regular_file() && entry.path().extension() == ".yaml" &&
        entry.path().parent_path() != fs::path(root) &&
        (entry.path().filename() == "claim.yaml") == claims) {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::vector<std::string> recipe_files() { return yaml_files(false); }

std::vector<std::string> claim_files() { return yaml_files(true); }

std::string claim_slug(const std::string& claim_file) {
  return fs::path(claim_file).parent_path().filename().string();
}

}  // namespace heed::tools
