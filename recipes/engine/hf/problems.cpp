#include "recipes/engine/hf/problems.h"

#include <algorithm>

#include "core/error.h"

namespace heed::recipes::hf {

void Problems::fail_if_any(const std::string& path, const std::string& what) const {
  if (all_.empty()) return;
  constexpr size_t kMost = 20;
  std::string message = fmt::format("{}: {}:", path, what);
  for (size_t i = 0; i < std::min(kMost, all_.size()); ++i) message += "\n  " + all_[i];
  if (all_.size() > kMost) message += fmt::format("\n  and {} more", all_.size() - kMost);
  throw RequestError(message);
}

}  // namespace heed::recipes::hf
