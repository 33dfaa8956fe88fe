// What is wrong with a file, collected, so that one error tells all of it.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace heed::recipes::hf {

class Problems {
 public:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    all_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  bool empty() const { return all_.empty(); }

  /// Where there is a problem, a RequestError: "path: what:" and a line for each of the first 20,
  /// then how many more there are.
  void fail_if_any(const std::string& path, const std::string& what) const;

 private:
  std::vector<std::string> all_;
};

}  // namespace heed::recipes::hf
