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

/// Unicode's normal forms (UAX 15).
enum class NormalForm : uint8_t { nfc, nfd, nfkc, nfkd };
/// The valid parts of a text in a normal form; other bytes stay as they are.
std::string normal_form(std::string_view text, NormalForm form);
/// Canonical composition (NFC).
inline std::string compose(std::string_view text) { return normal_form(text, NormalForm::nfc); }

/// The lower-case form of a code point, where it is one code point; else itself.
int32_t to_lower(int32_t code_point);
/// The same in upper case.
int32_t to_upper(int32_t code_point);
/// The whole text in lower case, code point by code point.
std::string lower_case(std::string_view text);

/// The end of the extended grapheme cluster (UAX 29) that begins at `begin` < text.size().
size_t grapheme_end(std::string_view text, size_t begin);

enum class CharClass : uint8_t { other, letter, number, space };

/// Unicode's general categories L* and N*, and its White_Space property (utf8proc, Unicode 15).
CharClass char_class(int32_t code_point);

/// General category P*, or another visible sign of ASCII ('$', '+', '<', '^', '`', '|', '~').
bool is_punctuation(int32_t code_point);
/// General category Mn.
bool is_nonspacing_mark(int32_t code_point);
/// General category M*.
bool is_mark(int32_t code_point);
/// General categories Cc, Cf and Co: what is not written.
bool is_control(int32_t code_point);
/// What regular expressions call \w (UTS 18, annex C): letters, decimal and letter numbers, circled
/// and squared letters, marks, connecting punctuation, joiners.
bool is_word_character(int32_t code_point);

/// Calls fn(code point, its bytes) for each code point of the text.
template <class Fn>
void for_each_code_point(std::string_view text, Fn&& fn) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    fn(c.value, text.substr(at, static_cast<size_t>(c.bytes)));
    at += static_cast<size_t>(c.bytes);
  }
}

}  // namespace heed::data
