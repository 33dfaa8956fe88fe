#include "data/unicode.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace heed::data {
namespace {

constexpr int32_t kEscape = 0xDC00;

constexpr bool is_ascii_letter(int c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

constexpr std::array<CharClass, 128> ascii_classes() {
  std::array<CharClass, 128> classes{};
  for (int c = 0; c < 128; ++c) {
    CharClass& entry = classes[static_cast<size_t>(c)];
    if (is_ascii_letter(c)) entry = CharClass::letter;
    if (c >= '0' && c <= '9') entry = CharClass::number;
    if (c == ' ' || (c >= '\t' && c <= '\r')) entry = CharClass::space;
  }
  return classes;
}

constexpr std::array<CharClass, 128> kAscii = ascii_classes();

bool is_white_space(int32_t c) {
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

utf8proc_option_t options_of(NormalForm form) {
  const bool composed = form == NormalForm::nfc || form == NormalForm::nfkc;
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE |
                                        (composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t offset) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + offset;
  if (*bytes < 0x80) return {*bytes, 1};
  utf8proc_int32_t value = 0;
  const auto left = static_cast<utf8proc_ssize_t>(std::min<size_t>(4, text.size() - offset));
  const utf8proc_ssize_t length = utf8proc_iterate(bytes, left, &value);
  if (length <= 0) return {kEscape + *bytes, 1};
  return {value, static_cast<int32_t>(length)};
}

void append_code_point(std::string& text, int32_t value) {
  if (value >= kEscape + 0x80 && value <= kEscape + 0xFF) {
    text.push_back(static_cast<char>(value - kEscape));
    return;
  }
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t length = utf8proc_encode_char(value, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(length));
}

bool is_code_point(int64_t value) {
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  return value >= 0 && value <= 0x10FFFF &&
         (!surrogate || (value >= kEscape + 0x80 && value <= kEscape + 0xFF));
}

size_t floor_to_character(std::string_view text, size_t offset) {
  if (offset >= text.size()) return text.size();
  for (size_t back = 1; back <= 3 && back <= offset; ++back) {
    const size_t start = offset - back;
    if (code_point_at(text, start).bytes > static_cast<int32_t>(back)) return start;
  }
  return offset;
}

std::string describe_code_point(int32_t value) {
  if (value >= kEscape + 0x80 && value <= kEscape + 0xFF) {
    return fmt::format("byte 0x{:02X} (not UTF-8)", value - kEscape);
  }
  if (value < 0x20 || (value >= 0x7F && value < 0xA0)) return fmt::format("U+{:04X}", value);
  std::string text;
  append_code_point(text, value);
  return fmt::format("'{}' (U+{:04X})", text, value);
}

std::string normal_form(std::string_view text, NormalForm form) {
  std::string made_text;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    bool plain = true;  // ASCII is in every normal form
    while (end < text.size()) {
      const CodePoint c = code_point_at(text, end);
      if (c.value >= 0xDC80 && c.value <= 0xDCFF) break;
      plain = plain && c.value < 0x80;
      end += static_cast<size_t>(c.bytes);
    }
    const std::string_view valid = text.substr(begin, end - begin);
    utf8proc_uint8_t* mapped = nullptr;
    const auto length = static_cast<utf8proc_ssize_t>(valid.size());
    const utf8proc_ssize_t written =
        plain ? -1
              : utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()), length,
                             &mapped, options_of(form));
    if (written >= 0) {
      made_text.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(written));
    } else {
      made_text += valid;
    }
    std::free(mapped);
    if (end < text.size()) made_text += text[end++];
    begin = end;
  }
  return made_text;
}

int32_t to_lower(int32_t code_point) { return utf8proc_tolower(code_point); }

int32_t to_upper(int32_t code_point) { return utf8proc_toupper(code_point); }

std::string with_replacements(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string valid;
  valid.reserve(text.size());
  for_each_code_point(text, [&](int32_t c, std::string_view bytes) {
    valid += c >= kEscape + 0x80 && c <= kEscape + 0xFF ? kReplacement : bytes;
  });
  return valid;
}

std::string lower_case(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for_each_code_point(text, [&](int32_t c, std::string_view) {
    if (c == 0x130) {  // the one letter whose lower case is two code points
      lower += "i\xCC\x87";
    } else {
      append_code_point(lower, to_lower(c));
    }
  });
  return lower;
}

size_t grapheme_end(std::string_view text, size_t begin) {
  utf8proc_int32_t state = 0;
  CodePoint left = code_point_at(text, begin);
  size_t at = begin + static_cast<size_t>(left.bytes);
  while (at < text.size()) {
    const CodePoint right = code_point_at(text, at);
    if (utf8proc_grapheme_break_stateful(left.value, right.value, &state)) break;
    at += static_cast<size_t>(right.bytes);
    left = right;
  }
  return at;
}

CharClass char_class(int32_t code_point) {
  if (code_point < 128) return kAscii[static_cast<size_t>(code_point)];
  if (is_white_space(code_point)) return CharClass::space;
  const utf8proc_category_t category = utf8proc_category(code_point);
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
    return CharClass::letter;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
    return CharClass::number;
  return CharClass::other;
}

bool is_punctuation(int32_t code_point) {
  if (code_point < 128)
    return code_point > ' ' && code_point < 127 && char_class(code_point) == CharClass::other;
  const utf8proc_category_t category = utf8proc_category(code_point);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool is_nonspacing_mark(int32_t code_point) {
  return code_point >= 128 && utf8proc_category(code_point) == UTF8PROC_CATEGORY_MN;
}

bool is_control(int32_t code_point) {
  const utf8proc_category_t category = utf8proc_category(code_point);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CO;
}

bool is_mark(int32_t code_point) {
  if (code_point < 128) return false;
  const utf8proc_category_t category = utf8proc_category(code_point);
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME;
}

bool is_word_character(int32_t c) {
  if (char_class(c) == CharClass::letter || is_mark(c) || c == 0x200C || c == 0x200D) return true;
  const bool drawn_letter = (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
                            (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  const utf8proc_category_t category = utf8proc_category(c);
  return drawn_letter || category == UTF8PROC_CATEGORY_PC || category == UTF8PROC_CATEGORY_ND ||
         category == UTF8PROC_CATEGORY_NL;
}

}  // namespace heed::data
