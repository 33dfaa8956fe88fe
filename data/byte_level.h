// GPT-2's printable alphabet for bytes: a byte-level token is written in files as one character for
// each byte. Printable Latin-1 bytes stand for themselves, the other 68 for U+0100, U+0101, ...
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace heed::data {

/// The bytes in the order of their characters; a trained vocabulary starts with them.
const std::array<unsigned char, 256>& byte_alphabet();

/// Bytes to characters: " the" is "Ġthe".
std::string to_byte_level(std::string_view bytes);

/// Characters to bytes; nothing when a character is not of the alphabet.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace heed::data
