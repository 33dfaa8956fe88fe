#include "data/pretokenize.h"

namespace heed::data {
namespace {

// Length of 's 't 're 've 'm 'll 'd at `at`, or 0.
size_t contraction(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at, 3);
  if (rest.size() < 2 || rest[0] != '\'') return 0;
  const char c = rest[1];
  if (c == 's' || c == 't' || c == 'm' || c == 'd') return 2;
  if (rest == "'re" || rest == "'ve" || rest == "'ll") return 3;
  return 0;
}

// End of the run of characters of one class from `at`; `last` becomes the start of its last one.
size_t run_end(std::string_view text, size_t at, CharClass wanted, size_t* last = nullptr) {
  while (at < text.size()) {
    const CodePoint c = code_point_at(text, at);
    if (char_class(c.value) != wanted) break;
    if (last != nullptr) *last = at;
    at += static_cast<size_t>(c.bytes);
  }
  return at;
}

// The same in any case, 's also with U+017F, which is an s without regard to case.
size_t contraction_in_any_case(std::string_view text, size_t at) {
  if (text[at] != '\'' || at + 1 >= text.size()) return 0;
  if (text.substr(at + 1, 2) == "\xC5\xBF") return 3;
  const auto lower = [&](size_t i) {
    const char c = i < text.size() ? text[i] : '\0';
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = lower(at + 1), second = lower(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const bool two =
      (second == 'e' && (first == 'r' || first == 'v')) || (first == 'l' && second == 'l');
  return two ? 3 : 0;
}

// \s*[\r\n]+ | \s+(?!\S) | \s+ from a space at `begin`.
size_t spaces_or_line_ends(std::string_view text, size_t begin) {
  size_t last = begin;
  const size_t end = run_end(text, begin, CharClass::space, &last);
  const size_t line_end = text.substr(begin, end - begin).find_last_of("\r\n");
  if (line_end != std::string_view::npos) return line_end + 1;
  if (end < text.size() && last > begin) return last - begin;
  return end - begin;
}

size_t llama3_word_length(std::string_view text, size_t begin, int most_digits) {
  if (const size_t length = contraction_in_any_case(text, begin)) return length;
  const CodePoint first = code_point_at(text, begin);
  const CharClass first_class = char_class(first.value);
  const size_t second = begin + static_cast<size_t>(first.bytes);
  const auto class_at = [&](size_t at) {
    return at < text.size() ? char_class(code_point_at(text, at).value) : CharClass::space;
  };

  // [^\r\n\p{L}\p{N}]?\p{L}+
  if (first_class == CharClass::letter) return run_end(text, begin, CharClass::letter) - begin;
  const bool joins = first_class != CharClass::number && first.value != '\r' && first.value != '\n';
  if (joins && class_at(second) == CharClass::letter) {
    return run_end(text, second, CharClass::letter) - begin;
  }
  if (first_class == CharClass::number) {
    size_t end = begin;
    for (int i = 0; i < most_digits && class_at(end) == CharClass::number; ++i) {
      end += static_cast<size_t>(code_point_at(text, end).bytes);
    }
    return end - begin;
  }
  // " ?[^\s\p{L}\p{N}]+[\r\n]*"
  const size_t signs = first.value == ' ' ? second : begin;
  if (signs < text.size() && class_at(signs) == CharClass::other) {
    size_t end = run_end(text, signs, CharClass::other);
    while (end < text.size() && (text[end] == '\r' || text[end] == '\n')) ++end;
    return end - begin;
  }
  return spaces_or_line_ends(text, begin);
}

size_t gpt2_word_length(std::string_view text, size_t begin) {
  if (const size_t length = contraction(text, begin)) return length;
  const CodePoint first = code_point_at(text, begin);
  const CharClass first_class = char_class(first.value);
  if (first_class != CharClass::space) return run_end(text, begin, first_class) - begin;

  if (first.value == ' ' && begin + 1 < text.size()) {  // " ?" before a run of another class
    const CharClass next = char_class(code_point_at(text, begin + 1).value);
    if (next != CharClass::space) return run_end(text, begin + 1, next) - begin;
  }
  size_t last = begin;
  const size_t end = run_end(text, begin, CharClass::space, &last);
  // \s+(?!\S): before a word the run gives up its last character, unless that is all it has
  if (end < text.size() && last > begin) return last - begin;
  return end - begin;
}

}  // namespace

const char* regex_of(WordPattern pattern) {
  switch (pattern) {
    case WordPattern::llama3:
      return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    case WordPattern::qwen2:
      return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    default:
      return nullptr;
  }
}

size_t word_length(std::string_view text, size_t begin, WordPattern pattern) {
  if (pattern == WordPattern::gpt2) return gpt2_word_length(text, begin);
  return llama3_word_length(text, begin, pattern == WordPattern::llama3 ? 3 : 1);
}

size_t digit_piece_end(std::string_view text, size_t begin) {
  const auto number_at = [&](size_t at) {
    return char_class(code_point_at(text, at).value) == CharClass::number;
  };
  size_t end = begin + static_cast<size_t>(code_point_at(text, begin).bytes);
  if (number_at(begin)) return end;
  while (end < text.size() && !number_at(end)) {
    end += static_cast<size_t>(code_point_at(text, end).bytes);
  }
  return end;
}

}  // namespace heed::data
