// GPT-2's split of text into words, the units that byte-pair encoding never merges across. It is
// the regular expression of Radford et al. (2019), applied by hand:
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// Bytes outside valid UTF-8 count as neither letter, number nor space.
#pragma once

#include <string_view>

#include "data/unicode.h"

namespace heed::data {

/// Length in bytes of the word that starts at `begin` < text.size(); the words cover the text.
size_t word_length(std::string_view text, size_t begin);

/// Calls fn(word) for each word of the text in order.
template <class Fn>
void for_each_word(std::string_view text, Fn&& fn) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = word_length(text, at);
    fn(text.substr(at, length));
    at += length;
  }
}

}  // namespace heed::data
