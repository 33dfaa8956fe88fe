// Where tests find real data, and a folder of their own to write in.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace heed::data {

/// The file below HEED_DATA (by default shared/data beside the project), or "" when it is not
/// there.
inline std::string real_data(const std::string& name) {
  const char* folder = std::getenv("HEED_DATA");
  const std::string path = (folder ? folder : HEED_SOURCE_DIR "/../shared/data") + ("/" + name);
  return std::filesystem::exists(path) ? path : "";
}

/// A fresh folder, removed at the end of its scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "heed-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

  /// Writes a file, with the folders above it; returns its path.
  std::string write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = path_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

 private:
  std::string path_;
};

}  // namespace heed::data

/// Skips the test, saying why, unless the real file is there; defines `path`.
#define HEED_REAL_DATA(path, name)                        \
  const std::string path = ::heed::data::real_data(name); \
  if (path.empty()) GTEST_SKIP() << "needs " << name << " below HEED_DATA"
