// What a loop tells its body: loop.index and its like.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/chat/value.h"

namespace heed::data::chat {

struct Loop {
  const Values* items = nullptr;
  size_t at = 0;
  std::optional<Values> last_changed = {};
};

/// The member of the innermost loop, of which there is one; undefined for one that it has not.
/// `loops` must outlive the functions among them.
Value loop_member(std::vector<Loop>& loops, const std::string& name);

}  // namespace heed::data::chat
