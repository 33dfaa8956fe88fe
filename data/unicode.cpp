#include "data/unicode.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "core/error.h"

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

namespace {

bool is_escape(int32_t c) { return c >= kEscape + 0x80 && c <= kEscape + 0xFF; }

void decompose(int32_t c, NormalForm form, std::vector<utf8proc_int32_t>& points) {
  constexpr utf8proc_ssize_t kLongest = 18;  // of U+FDFA, in NFKD
  const size_t before = points.size();
  points.resize(before + kLongest);
  const utf8proc_ssize_t count =
      utf8proc_decompose_char(c, points.data() + before, kLongest, options_of(form), nullptr);
  HEED_CHECK(count >= 0 && count <= kLongest, "unicode: U+{:04X} cannot be decomposed", c);
  points.resize(before + static_cast<size_t>(count));
}

// Canonical order: within a run of marks by their class. (utf8proc's own takes the square of a
// run's length.)
void order_marks(std::vector<utf8proc_int32_t>& points) {
  const auto order = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (size_t begin = 0; begin < points.size();) {
    if (order(points[begin]) == 0) {
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < points.size() && order(points[end]) != 0) ++end;
    std::stable_sort(points.begin() + static_cast<std::ptrdiff_t>(begin),
                     points.begin() + static_cast<std::ptrdiff_t>(end),
                     [&](auto a, auto b) { return order(a) < order(b); });
    begin = end;
  }
}

// Composes them if the form wants it.
void append_points(std::vector<utf8proc_int32_t>& points, NormalForm form, std::string& text) {
  const utf8proc_ssize_t count = utf8proc_normalize_utf32(
      points.data(), static_cast<utf8proc_ssize_t>(points.size()), options_of(form));
  HEED_CHECK(count >= 0, "unicode: {}", utf8proc_errmsg(count));
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    append_code_point(text, points[static_cast<size_t>(i)]);
  }
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
  if (is_escape(value)) {
    text.push_back(static_cast<char>(value - kEscape));
    return;
  }
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t length = utf8proc_encode_char(value, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(length));
}

bool is_code_point(int64_t value) {
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  return value >= 0 && value <= 0x10FFFF && (!surrogate || (is_escape(value)));
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
  if (is_escape(value)) {
    return fmt::format("byte 0x{:02X} (not UTF-8)", value - kEscape);
  }
  if (value < 0x20 || (value >= 0x7F && value < 0xA0)) return fmt::format("U+{:04X}", value);
  std::string text;
  append_code_point(text, value);
  return fmt::format("'{}' (U+{:04X})", text, value);
}

// Outside the stretches that a form may change, text is taken as it is: below the first character
// that the form says anything of, every one stands for itself and joins none before it.
std::string normal_form(std::string_view text, NormalForm form) {
  const int32_t first = form == NormalForm::nfc ? 0x300 : 0x80;
  const auto stays = [first](int32_t c) { return c < first || is_escape(c); };
  std::string made;
  made.reserve(text.size());
  size_t done = 0;
  std::optional<size_t> before;  // a character that stays, and may yet be joined by what follows
  for (size_t at = 0; at < text.size();) {
    CodePoint c = code_point_at(text, at);
    if (stays(c.value)) {
      before = is_escape(c.value) ? std::optional<size_t>() : at;
      at += static_cast<size_t>(c.bytes);
      continue;
    }
    const size_t begin = before.value_or(at);
    made += text.substr(done, begin - done);
    std::vector<utf8proc_int32_t> points;
    if (begin < at) decompose(code_point_at(text, begin).value, form, points);
    for (;;) {
      decompose(c.value, form, points);
      at += static_cast<size_t>(c.bytes);
      if (at == text.size()) break;
      c = code_point_at(text, at);
      if (stays(c.value)) break;
    }
    order_marks(points);
    append_points(points, form, made);
    done = at;
    before.reset();
  }
  return made += text.substr(done);
}

int32_t to_lower(int32_t code_point) { return utf8proc_tolower(code_point); }

int32_t to_upper(int32_t code_point) { return utf8proc_toupper(code_point); }

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
