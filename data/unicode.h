// Code points of UTF-8 text that may hold anything, and the classes that tokenizers split by.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace heed::data {

/// A code point and the bytes it took. A byte b outside valid UTF-8 is the code point 0xDC00 + b,
/// one byte long (Python's "surrogateescape", PEP 383): valid text never holds those, so bytes
/// survive the way there and back.
struct CodePoint {
  int32_t value = 0;
  int32_t bytes = 1;
};

/// The code point at `offset` < text.size().
CodePoint code_point_at(std::string_view text, size_t offset);

/// The bytes of a code point; 0xDC80 ... 0xDCFF become the single byte they stand for.
void append_code_point(std::string& text, int32_t value);

/// True for what code_point_at can return.
bool is_code_point(int64_t value);

/// The largest offset <= `offset` that is not inside a valid UTF-8 character.
size_t floor_to_character(std::string_view text, size_t offset);

/// 'x' (U+0078), for messages.
std::string describe_code_point(int32_t value);

/// Canonical composition (NFC) of the valid parts of a text; other bytes stay as they are.
std::string compose(std::string_view text);

/// The lower-case form of a code point, where it is one code point; else itself.
int32_t to_lower(int32_t code_point);

enum class CharClass : uint8_t { other, letter, number, space };

/// Unicode's general categories L* and N*, and its White_Space property (utf8proc, Unicode 15).
CharClass char_class(int32_t code_point);

}  // namespace heed::data
