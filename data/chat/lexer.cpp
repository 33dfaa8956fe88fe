#include "data/chat/lexer.h"

#include <algorithm>
#include <array>

#include "data/unicode.h"

namespace heed::data::chat {
namespace {

using Kind = Token::Kind;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// One kind of line break, and none at the very end.
std::string with_plain_lines(const std::string& source) {
  std::string plain;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      plain += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      plain += source[i];
    }
  }
  if (plain.ends_with('\n')) plain.pop_back();
  return plain;
}

class Lexer {
 public:
  Lexer(const std::string& source, const std::string& name)
      : source_(with_plain_lines(source)), name_(name) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) text_then_tag();
    push(Kind::end, "", at_);
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail_at(size_t at, const std::string& message) {
    move_to(at);
    fail_request(SourceLocation{name_, line_, column_}, "chat template: " + message);
  }

  // Places are asked for in ascending order.
  void move_to(size_t at) {
    for (; counted_ < at && counted_ < source_.size(); ++counted_) {
      ++column_;
      if (source_[counted_] == '\n') {
        ++line_;
        column_ = 1;
      }
    }
  }

  void push(Kind kind, std::string text, size_t at) {
    move_to(at);
    tokens_.push_back({kind, std::move(text), line_, column_});
  }

  bool looking_at(size_t at, std::string_view what) const {
    return std::string_view(source_).substr(at, what.size()) == what;
  }

  // Text up to the next tag or the end, and that tag.
  void text_then_tag() {
    size_t tag = at_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        push(Kind::text, source_.substr(at_), at_);
        at_ = source_.size();
        return;
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
      ++tag;
    }
    const char type = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const bool signed_tag = sign == '-' || sign == '+';
    std::string text = source_.substr(at_, tag - at_);
    if (sign == '-') {
      while (!text.empty() && is_space(text.back())) text.pop_back();
    } else if (sign != '+' && type != '{') {
      strip_line(text);
    }
    if (!text.empty()) push(Kind::text, text, at_);
    at_ = tag + (signed_tag ? 3 : 2);
    if (type == '#') {
      comment(tag);
    } else if (type == '%' && is_raw()) {
      raw(tag);
    } else {
      push(type == '{' ? Kind::variable_begin : Kind::block_begin, "", tag);
      expression(type == '{' ? "}}" : "%}", tag);
    }
  }

  // Nothing but spaces between the last line break and a tag: they go.
  void strip_line(std::string& text) const {
    const size_t line = text.rfind('\n') + 1;  // 0 without one
    if (line == 0 && !line_starts_) return;
    if (std::all_of(text.begin() + static_cast<std::ptrdiff_t>(line), text.end(), is_space)) {
      text.resize(line);
    }
  }

  void after_tag(char sign, bool trims_line) {
    const size_t from = at_;
    if (sign == '-') {
      while (at_ < source_.size() && is_space(source_[at_])) ++at_;
    } else if (sign != '+' && trims_line && at_ < source_.size() && source_[at_] == '\n') {
      ++at_;
    }
    line_starts_ = at_ > from && source_[at_ - 1] == '\n';
  }

  void comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string::npos) fail_at(tag, "a comment has no end");
    const char sign = end > at_ ? source_[end - 1] : '\0';
    at_ = end + 2;
    after_tag(sign, true);
  }

  bool is_raw() const { return tag_word(at_) == "raw"; }

  // The word that a block begins with.
  std::string_view tag_word(size_t at) const {
    while (at < source_.size() && is_space(source_[at])) ++at;
    size_t end = at;
    while (end < source_.size() && (begins_name(source_[end]) || is_digit(source_[end]))) ++end;
    return std::string_view(source_).substr(at, end - at);
  }

  void raw(size_t tag) {
    const size_t begin = source_.find("%}", at_);
    if (begin == std::string::npos) fail_at(tag, "a raw block has no end");
    const char sign = source_[begin - 1];
    at_ = begin + 2;
    if (sign == '-') after_tag('-', false);
    for (size_t end = source_.find("{%", at_); end != std::string::npos;
         end = source_.find("{%", end + 2)) {
      const char before = end + 2 < source_.size() ? source_[end + 2] : '\0';
      const bool signed_tag = before == '-' || before == '+';
      if (tag_word(end + (signed_tag ? 3 : 2)) != "endraw") continue;
      std::string text = source_.substr(at_, end - at_);
      if (before == '-') {
        while (!text.empty() && is_space(text.back())) text.pop_back();
      } else if (before != '+') {
        strip_line(text);
      }
      if (!text.empty()) push(Kind::text, text, at_);
      const size_t close = source_.find("%}", end);
      if (close == std::string::npos) break;
      at_ = close + 2;
      after_tag(source_[close - 1], true);
      return;
    }
    fail_at(tag, "a raw block has no end");
  }

  void expression(std::string_view close, size_t tag) {
    std::string open;  // brackets that wait for their other half
    while (true) {
      while (at_ < source_.size() && is_space(source_[at_])) ++at_;
      if (at_ >= source_.size()) fail_at(tag, fmt::format("a tag has no {}", close));
      const bool block = close == "%}";
      if (open.empty()) {
        const bool minus = source_[at_] == '-' && looking_at(at_ + 1, close);
        const bool plus = block && source_[at_] == '+' && looking_at(at_ + 1, close);
        if (minus || plus || looking_at(at_, close)) {
          const char sign = minus ? '-' : plus ? '+' : '\0';
          push(block ? Kind::block_end : Kind::variable_end, "", at_);
          at_ += close.size() + (minus || plus ? 1 : 0);
          after_tag(sign, block);
          return;
        }
      }
      token(open);
    }
  }

  void token(std::string& open) {
    const size_t begin = at_;
    const char c = source_[at_];
    if (begins_name(c)) {
      while (at_ < source_.size() && (begins_name(source_[at_]) || is_digit(source_[at_]))) ++at_;
      push(Kind::name, source_.substr(begin, at_ - begin), begin);
    } else if (is_digit(c)) {
      number();
    } else if (c == '"' || c == '\'') {
      string();
    } else {
      sign(open);
    }
  }

  void number() {
    const size_t begin = at_;
    std::string digits;
    bool real = false;
    const auto take_digits = [&] {
      while (at_ < source_.size() && (is_digit(source_[at_]) || source_[at_] == '_')) {
        if (source_[at_] != '_') digits += source_[at_];
        ++at_;
      }
    };
    take_digits();
    if (at_ + 1 < source_.size() && source_[at_] == '.' && is_digit(source_[at_ + 1])) {
      real = true;
      digits += source_[at_++];
      take_digits();
    }
    if (at_ < source_.size() && (source_[at_] == 'e' || source_[at_] == 'E')) {
      size_t power = at_ + 1;
      if (power < source_.size() && (source_[power] == '+' || source_[power] == '-')) ++power;
      if (power < source_.size() && is_digit(source_[power])) {
        real = true;
        digits += source_.substr(at_, power - at_);
        at_ = power;
        take_digits();
      }
    }
    push(real ? Kind::number : Kind::integer, digits, begin);
  }

  void string() {
    const size_t begin = at_;
    const char quote = source_[at_++];
    std::string value;
    while (at_ < source_.size() && source_[at_] != quote) {
      if (source_[at_] == '\\' && at_ + 1 < source_.size()) {
        ++at_;
        escape(value, begin);
      } else {
        value += source_[at_++];
      }
    }
    if (at_ >= source_.size()) fail_at(begin, "a string has no end");
    ++at_;
    push(Kind::string, value, begin);
  }

  // As Python's "unicode-escape".
  void escape(std::string& value, size_t begin) {
    const char c = source_[at_++];
    constexpr std::string_view kNames = "ntr\\'\"abfv0", kValues = "\n\t\r\\'\"\a\b\f\v";
    if (c == '\n') return;
    if (c == 'x' || c == 'u' || c == 'U') {
      const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      int64_t code = 0;
      for (size_t i = 0; i < digits; ++i, ++at_) {
        const size_t digit =
            at_ < source_.size()
                ? std::string_view("0123456789abcdef0123456789ABCDEF").find(source_[at_])
                : std::string_view::npos;
        if (digit == std::string_view::npos) fail_at(begin, "an escape lacks hexadecimal digits");
        code = code * 16 + static_cast<int64_t>(digit % 16);
      }
      if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
        fail_at(begin, "an escape is no character");
      }
      append_code_point(value, static_cast<int32_t>(code));
      return;
    }
    if (c >= '0' && c <= '7') {
      int32_t code = c - '0';
      for (int i = 0; i < 2 && at_ < source_.size() && source_[at_] >= '0' && source_[at_] <= '7';
           ++i) {
        code = code * 8 + (source_[at_++] - '0');
      }
      append_code_point(value, code);
      return;
    }
    const size_t known = kNames.find(c);
    if (known < kValues.size()) {
      value += kValues[known];
    } else {
      value += '\\';
      value += c;
    }
  }

  void sign(std::string& open) {
    constexpr std::array<std::string_view, 24> kSigns = {
        "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~",
        "<",  ">",  "=",  ".",  ",",  ":",  "|", "(", ")", "[", "]", "{"};
    const size_t begin = at_;
    std::string_view found = source_[at_] == '}' ? std::string_view("}") : std::string_view();
    for (const std::string_view candidate : kSigns) {
      if (found.empty() && looking_at(at_, candidate)) found = candidate;
    }
    if (found.empty()) {
      fail_at(begin, fmt::format("{} means nothing here",
                                 describe_code_point(code_point_at(source_, at_).value)));
    }
    if (found == "(") open += ')';
    if (found == "[") open += ']';
    if (found == "{") open += '}';
    if (found == ")" || found == "]" || found == "}") {
      if (open.empty() || open.back() != found[0])
        fail_at(begin, fmt::format("unexpected '{}'", found));
      open.pop_back();
    }
    at_ += found.size();
    push(Kind::sign, std::string(found), begin);
  }

  std::string source_;
  const std::string& name_;
  std::vector<Token> tokens_;
  size_t at_ = 0, counted_ = 0;
  int line_ = 1, column_ = 1;
  bool line_starts_ = true;
};

}  // namespace

std::vector<Token> tokenize(const std::string& source, const std::string& name) {
  return Lexer(source, name).run();
}

}  // namespace heed::data::chat
