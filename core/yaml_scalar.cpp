#include "core/yaml_scalar.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <locale>
#include <sstream>
#include <string_view>

namespace heed {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool parse_integer(std::string_view text, int64_t* value, const SourceLocation& where) {
  std::string_view digits = text;
  bool negative = false;
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0o")) {
    base = digits[1] == 'x' ? 16 : 8;
    digits.remove_prefix(2);
  } else if (digits.starts_with('-') || digits.starts_with('+')) {
    negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  if (digits.empty() || digits[0] == '-') return false;
  uint64_t magnitude = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, magnitude, base);
  if (stop != end) return false;
  const uint64_t limit = uint64_t{1} << 63;
  if (error != std::errc() || magnitude > limit || (magnitude == limit && !negative)) {
    fail_request(where, fmt::format("the integer {} does not fit into 64 bits (quote it to make "
                                    "it a string)",
                                    text));
  }
  *value = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
  return true;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool looks_like_float(std::string_view text) {
  size_t i = 0;
  const auto sign = [&] { i += i < text.size() && (text[i] == '-' || text[i] == '+'); };
  const auto digits = [&] {
    const size_t start = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i - start;
  };
  sign();
  const size_t whole = digits();
  size_t fraction = 0;
  if (i < text.size() && text[i] == '.') {
    ++i;
    fraction = digits();
  }
  if (whole + fraction == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    sign();
    if (digits() == 0) return false;
  }
  return i == text.size();
}

bool parse_number(std::string_view text, double* value, const SourceLocation& where) {
  const bool negative = text.starts_with('-');
  std::string_view rest = text;
  if (negative || text.starts_with('+')) rest.remove_prefix(1);
  if (rest == ".inf" || rest == ".Inf" || rest == ".INF") {
    *value = negative ? -HUGE_VAL : HUGE_VAL;
    return true;
  }
  if (text == ".nan" || text == ".NaN" || text == ".NAN") {
    *value = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if (!looks_like_float(text)) return false;
  double parsed = 0;
  const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), parsed);
  if (error == std::errc::result_out_of_range) {  // which does not tell overflow from underflow
    std::istringstream stream{std::string(rest)};
    stream.imbue(std::locale::classic());
    stream >> parsed;  // the largest double, or nearly 0
    if (parsed > 1) {
      fail_request(where, fmt::format("the number {} is too large for a double", text));
    }
  }
  *value = negative ? -parsed : parsed;
  return true;
}

}  // namespace

Config resolve_yaml_scalar(const std::string& text, const SourceLocation& where) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return Config();
  }
  if (text == "true" || text == "True" || text == "TRUE") return Config(true);
  if (text == "false" || text == "False" || text == "FALSE") return Config(false);
  int64_t integer = 0;
  if (parse_integer(text, &integer, where)) return Config(integer);
  double number = 0;
  if (parse_number(text, &number, where)) return Config(number);
  return Config(text);
}

}  // namespace heed
