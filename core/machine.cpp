#include "core/machine.h"

#include <fstream>

namespace heed {

std::string processor_name() {
  const std::string name = proc_field("/proc/cpuinfo", "model name");
  return name.empty() ? "unknown" : name;
}

std::string proc_field(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

}  // namespace heed
