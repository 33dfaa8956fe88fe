// Texts as Python's str sees them: of characters, not bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/chat/value.h"

namespace heed::data::chat {

std::vector<std::string> characters(const std::string& text);
bool is_space(int32_t c);
bool is_letter(int32_t c);

/// Without characters of `what`, a string, at its ends; None: without white space.
std::string stripped(const std::string& text, const Value& what, bool left, bool right);
/// upper() for what is one letter each, and sharp s.
std::string upper_case(const std::string& text);
std::string capitalized(const std::string& text);
/// str.title(), or the filter's: words there begin behind white space and - ( { [ <.
std::string titled(const std::string& text, bool filter);
/// The first `most` (below 0: all) occurrences replaced; Fault above kMostText bytes.
std::string replaced(const std::string& text, const std::string& what, const std::string& by,
                     int64_t most);
/// A list of parts between separators, or (None) of words; at most `most` cuts where it is not
/// below 0.
Value split(const std::string& text, const Value& separator, int64_t most, bool from_right);
Value split_lines(const std::string& text);
/// The values as text, `by` between them; Fault above kMostText bytes.
std::string joined(const Values& items, const std::string& by);

}  // namespace heed::data::chat
