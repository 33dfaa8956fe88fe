// expand_files: glob(3), and "**" on top of it.
#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "core/files.h"

namespace heed {
namespace fs = std::filesystem;
namespace {

std::vector<std::string> glob_paths(const std::string& pattern) {
  glob_t found{};
  const std::unique_ptr<glob_t, void (*)(glob_t*)> owner(&found, ::globfree);
  const int status = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  if (status != 0 && status != GLOB_NOMATCH) fail("cannot expand the pattern '{}'", pattern);
  return {found.gl_pathv, found.gl_pathv + found.gl_pathc};
}

// The directory and all below it, but for hidden ones and links.
void add_directories(const std::string& directory, std::vector<std::string>* out) {
  out->push_back(directory);
  std::error_code stop;
  for (fs::directory_iterator it(directory.empty() ? "." : directory, stop), end;
       !stop && it != end; it.increment(stop)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (name.starts_with('.') || it->is_symlink(ignored) || !it->is_directory(ignored)) continue;
    add_directories(directory + name + "/", out);
  }
}

std::string escape(const std::string& path) {
  std::string out;
  for (char c : path) {
    if (std::string_view("*?[\\").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::vector<std::string> expand(const std::string& pattern) {
  // "a/**/b" is "b" in every directory at or below "a/".
  size_t stars = pattern.find("**/");
  while (stars != std::string::npos && stars > 0 && pattern[stars - 1] != '/') {
    stars = pattern.find("**/", stars + 1);
  }
  if (stars == std::string::npos) return glob_paths(pattern);
  const std::string base = pattern.substr(0, stars);
  const std::string rest = pattern.substr(stars + 3);
  std::vector<std::string> directories, paths;
  for (const std::string& start : base.empty() ? std::vector<std::string>{""} : glob_paths(base)) {
    add_directories(start, &directories);
  }
  for (const std::string& directory : directories) {
    const std::vector<std::string> some = expand(escape(directory) + rest);
    paths.insert(paths.end(), some.begin(), some.end());
  }
  return paths;
}

}  // namespace

std::vector<std::string> expand_files(const std::string& pattern) {
  std::error_code ignored;
  if (fs::is_regular_file(pattern, ignored)) return {pattern};
  std::vector<std::string> files = expand(pattern.ends_with("/**") ? pattern + "/*" : pattern);
  std::erase_if(files, [&](const auto& file) { return !fs::is_regular_file(file, ignored); });
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

}  // namespace heed
