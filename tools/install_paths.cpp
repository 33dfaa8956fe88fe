#include "tools/install_paths.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"

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

/// What a YAML file in a recipes' folder is, by its name.
enum class Kind { recipe, claim, comparison };
Kind kind_of(const fs::path& file) {
  if (file.filename() == "claim.yaml") return Kind::claim;
  return file.filename() == "compare.yaml" ? Kind::comparison : Kind::recipe;
}

/// The YAML files of a kind below the recipes' folder, sorted.
std::vector<std::string> yaml_files(Kind kind) {
  std::vector<std::string> files;
  const std::string root = recipes_folder();
  if (root.empty()) return files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    // Recipes lie in folders; beside these lies the list of papers.
    if (entry.is_regular_file() && entry.path().extension() == ".yaml" &&
        entry.path().parent_path() != fs::path(root) && kind_of(entry.path()) == kind) {
      files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::vector<std::string> recipe_files() { return yaml_files(Kind::recipe); }

std::vector<std::string> claim_files() { return yaml_files(Kind::claim); }

std::vector<std::string> comparison_files() { return yaml_files(Kind::comparison); }

std::string slug_of(const std::string& file) {
  return fs::path(file).parent_path().filename().string();
}

std::string find_in_recipes(const std::string& given, const std::string& name,
                            const std::vector<std::string>& files, const std::string& what) {
  for (const fs::path& path :
       {fs::path(given), fs::path(given) / name, fs::path(recipes_folder()) / given / name}) {
    if (fs::is_regular_file(path)) return path.string();
  }
  std::vector<std::string> names;
  for (const std::string& file : files) {
    names.push_back(slug_of(file));
    if (names.back() == given) return file;
  }
  fail_request("there is no {} '{}'{}; `heed list {}s` shows them", what, given,
               did_you_mean(given, names), what);
}

}  // namespace heed::tools
