// Added tokens: those that stand beside a vocabulary and are found in a text before it is split
// (special tokens above all), and the pieces of text between them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/trie.h"

namespace heed::data {

using TokenId = int32_t;

/// A token that no plain text encodes to, such as "<|endoftext|>"; or an added one that plain text
/// does encode to (`special` false), such as a run of spaces. The other flags are tokenizer.json's.
struct SpecialToken {
  std::string text;
  TokenId id = 0;
  bool special = true;
  bool normalized = false;              ///< looked for in the normalised text
  bool lstrip = false, rstrip = false;  ///< takes the white space before, or behind it, along
  bool single_word = false;             ///< only where no part of a word touches it

  bool operator==(const SpecialToken&) const = default;
};

class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<SpecialToken> tokens);

  bool empty() const { return tokens_.empty(); }
  /// Calls on_text(piece, its offset) and on_token(id) in order: of the tokens that begin at a
  /// place the longest is the one that is written there. It is text where it may not count: a
  /// special one without `with_specials` or at an offset in `plain` (ascending), one of a
  /// `single_word` that parts of a word touch.
  template <class OnText, class OnToken>
  void split(std::string_view text, bool with_specials, std::span<const size_t> plain,
             OnText&& on_text, OnToken&& on_token) const {
    size_t done = 0;
    for (size_t at = 0; at < text.size();) {
      const bool specials = with_specials && !std::binary_search(plain.begin(), plain.end(), at);
      const Match match = match_at(text, at, done, specials);
      if (match.token == nullptr) {
        at = match.end;
        continue;
      }
      if (match.begin > done) on_text(text.substr(done, match.begin - done), done);
      on_token(match.token->id);
      at = done = match.end;
    }
    if (done < text.size()) on_text(text.substr(done), done);
  }

 private:
  struct Match {
    const SpecialToken* token = nullptr;  ///< or null: up to `end` there is text
    size_t begin = 0, end = 0;
  };

  /// The token written at `at`; white space that it takes along lies behind `done`.
  Match match_at(std::string_view text, size_t at, size_t done, bool with_specials) const;

  std::vector<SpecialToken> tokens_;
  Trie trie_;  ///< to places in tokens_
  std::array<bool, 256> begins_{};
};

}  // namespace heed::data
