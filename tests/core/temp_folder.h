// A folder for one test program's files, removed when it ends.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

namespace heed {

/// The folder's path with a '/' behind it; created on the first call.
inline const std::string& temp_folder() {
  struct Folder {
    std::string path =
        (std::filesystem::temp_directory_path() / ("heed-test-" + std::to_string(::getpid())))
            .string() +
        "/";
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Folder folder;
  return folder.path;
}

}  // namespace heed
