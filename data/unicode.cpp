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

std::string compose(std::string_view text) {
  std::string composed;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    bool plain = true;  // ASCII, which composes with nothing behind it that is valid and not ASCII
    while (end < text.size()) {
      const CodePoint c = code_point_at(text, end);
      if (c.value >= 0xDC80 && c.value <= 0xDCFF) break;
      plain = plain && c.value < 0x80;
      end += static_cast<size_t>(c.bytes);
    }
    const std::string_view valid = text.substr(begin, end - begin);
    utf8proc_uint8_t* made = nullptr;
    const auto length = static_cast<utf8proc_ssize_t>(valid.size());
    const utf8proc_ssize_t written =
        plain ? -1
              : utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(valid.data()), length, &made,
                             static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (written >= 0) {
      composed.append(reinterpret_cast<const char*>(made), static_cast<size_t>(written));
    } else {
      composed += valid;
    }
    std::free(made);
    if (end < text.size()) composed += text[end++];
    begin = end;
  }
  return composed;
}

int32_t to_lower(int32_t code_point) { return utf8proc_tolower(code_point); }

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

}  // namespace heed::data
