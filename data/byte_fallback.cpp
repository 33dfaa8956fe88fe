#include "data/byte_fallback.h"

#include <fmt/format.h>

#include <algorithm>

namespace heed::data {
namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string name_of_byte(int byte) { return fmt::format("<0x{:02X}>", byte); }

std::optional<char> byte_of_name(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return {};
  const int high = digit(token[3]), low = digit(token[4]);
  if (high < 0 || low < 0) return {};
  return static_cast<char>(high * 16 + low);
}

std::optional<int> ByteTokens::missing() const {
  const auto found = std::find(ids_.begin(), ids_.end(), -1);
  if (found == ids_.end()) return {};
  return static_cast<int>(found - ids_.begin());
}

bool ByteTokens::append(std::string_view bytes, std::vector<TokenId>& ids) const {
  const size_t before = ids.size();
  for (const char byte : bytes) {
    const TokenId id = ids_[static_cast<unsigned char>(byte)];
    if (id < 0) {
      ids.resize(before);
      return false;
    }
    ids.push_back(id);
  }
  return true;
}

}  // namespace heed::data
