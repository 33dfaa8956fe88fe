// From the text of a chat template to its tree.
#pragma once

#include <string>
#include <vector>

#include "data/chat/syntax.h"
#include "data/chat/token_cursor.h"

namespace heed::data::chat {

/// RequestError, with `name`, line and column, for what is outside the subset: blocks of
/// inheritance and inclusion, calls with blocks, recursive loops, starred arguments; and for more
/// than kMostNesting levels.
std::vector<Node> parse(const std::string& source, const std::string& name);

}  // namespace heed::data::chat
