// The names in a checkpoint's folder that its reader and its writer share.
#pragma once

#include <filesystem>
#include <string>

namespace heed::recipes::checkpoint_files {

inline constexpr const char* kSums = "SHA256SUMS";
inline constexpr const char* kTemporary = ".writing-";
inline constexpr const char* kIndex = ".index.json";

inline std::string join(const std::string& folder, const std::string& name) {
  return (std::filesystem::path(folder) / name).string();
}

}  // namespace heed::recipes::checkpoint_files
