#include "core/files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

namespace heed {
namespace fs = std::filesystem;
namespace {

// " (did you mean 'dir/near'?)" from the names in the directory of a path that does not exist.
std::string suggest_path(const fs::path& path) {
  std::vector<std::string> names;
  std::error_code ignored;
  const fs::path parent = path.parent_path();
  for (const auto& entry : fs::directory_iterator(parent.empty() ? "." : parent, ignored)) {
    names.push_back(entry.path().filename().string());
  }
  const std::string name = nearest(path.filename().string(), names);
  return name.empty() ? "" : fmt::format(" (did you mean '{}'?)", (parent / name).string());
}

[[noreturn]] void fail_reading(const std::string& path, int error) {
  fail_request("cannot read '{}': {}{}", path, std::strerror(error),
               error == ENOENT ? suggest_path(path) : "");
}

}  // namespace

std::string read_file(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) fail_reading(path, EISDIR);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_reading(path, errno ? errno : EIO);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) fail_reading(path, errno ? errno : EIO);
  return text;
}

}  // namespace heed
