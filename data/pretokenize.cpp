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

}  // namespace

size_t word_length(std::string_view text, size_t begin) {
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

}  // namespace heed::data
