// Byte fallback: a character that is no token is written as the tokens of its bytes, "<0xE2>" and
// so on, as SentencePiece has it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/added_tokens.h"

namespace heed::data {

/// "<0x0A>" of a byte.
std::string name_of_byte(int byte);
/// The byte of such a name.
std::optional<char> byte_of_name(std::string_view token);

/// The tokens of bytes, as far as a vocabulary has them.
class ByteTokens {
 public:
  ByteTokens() { ids_.fill(-1); }
  void add(char byte, TokenId id) { ids_[static_cast<unsigned char>(byte)] = id; }
  /// The first byte that has no token, or nothing.
  std::optional<int> missing() const;
  /// Appends the ids of the bytes; whether all have one, else nothing is appended.
  bool append(std::string_view bytes, std::vector<TokenId>& ids) const;

 private:
  std::array<TokenId, 256> ids_;
};

}  // namespace heed::data
