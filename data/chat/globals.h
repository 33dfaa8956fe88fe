// The functions that every chat template may call by name.
#pragma once

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "data/chat/value.h"

namespace heed::data::chat {

/// raise_exception, strftime_now, namespace, dict and range. `now`, the local time of strftime_now,
/// must outlive them.
std::vector<std::pair<std::string, Value>> global_names(const std::tm& now);

}  // namespace heed::data::chat
