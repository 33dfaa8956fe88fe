// TokenMap: tokens by their text, looked up by any view of one.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data/added_tokens.h"

namespace heed::data {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

using TokenMap = std::unordered_map<std::string, TokenId, TextHash, std::equal_to<>>;

}  // namespace heed::data
