// The split of text into words, the units that byte-pair encoding never merges across. These are
// the regular expressions of the models' tokenizers, applied by hand:
//
//   gpt2     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//            (Radford et al. 2019)
//   llama3   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
//            | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//            (that of GPT-4 too)
//   qwen2    the same with \p{N} for \p{N}{1,3}
//
// Bytes outside valid UTF-8 count as neither letter, number nor space.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "data/unicode.h"

namespace heed::data {

enum class WordPattern : uint8_t { gpt2, llama3, qwen2 };

/// The expression as tokenizer.json has it; nullptr for gpt2's, which has a name there.
const char* regex_of(WordPattern pattern);

struct WordSplit {
  WordPattern pattern = WordPattern::gpt2;
  bool single_digits = false;  ///< every number character is cut out before the pattern is applied

  bool operator==(const WordSplit&) const = default;
};

/// Length in bytes of the word that starts at `begin` < text.size(); the words cover the text.
size_t word_length(std::string_view text, size_t begin, WordPattern pattern = WordPattern::gpt2);
/// The end of the piece at `begin`: a number character, or all up to the next one.
size_t digit_piece_end(std::string_view text, size_t begin);

/// Calls fn(word) for each word of the text in order.
template <class Fn>
void for_each_word(std::string_view text, const WordSplit& split, Fn&& fn) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = split.single_digits ? digit_piece_end(text, begin) : text.size();
    const std::string_view piece = text.substr(begin, end - begin);
    for (size_t at = 0; at < piece.size();) {
      const size_t length = word_length(piece, at, split.pattern);
      fn(piece.substr(at, length));
      at += length;
    }
    begin = end;
  }
}
template <class Fn>
void for_each_word(std::string_view text, Fn&& fn) {
  for_each_word(text, WordSplit{}, std::forward<Fn>(fn));
}

}  // namespace heed::data
