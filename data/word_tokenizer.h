// Words, for classification: a run of letters and digits (with apostrophes inside) in lower case is
// a token, and so is every other character that is no space. What is rare or unknown becomes one
// token, so this is the one tokenizer that loses text. Ids: 0 pads, 1 is unknown, then the words by
// falling count, equals in the order of their bytes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer.h"

namespace heed::data {

/// The tokens of a text, as above.
std::vector<std::string> split_words(std::string_view text);

class WordTokenizer : public Tokenizer {
 public:
  static constexpr TokenId kPadding = 0, kUnknown = 1;

  /// `words` get the ids from 2 on. RequestError when one is empty or given twice.
  explicit WordTokenizer(std::vector<std::string> words);

  /// The words that occur at least `min_count` times, at most `vocab_size` with the two specials.
  static WordTokenizer from_texts(const std::vector<std::string_view>& texts, int64_t min_count,
                                  int64_t vocab_size);

  const char* type() const override { return "words"; }
  int64_t vocab_size() const override { return static_cast<int64_t>(words_.size()); }
  /// A word with a space before it, so that decoded text can be read.
  std::string_view token(TokenId id) const override;
  /// {"version": "1.0", "type": "words", "words": ["the", ...]}, without the two specials.
  Config to_config() const override;

 private:
  void encode_piece(const Piece& piece, std::vector<TokenId>& ids) const override;
  std::vector<std::string> words_;  ///< by id, each after a space
  std::unordered_map<std::string, TokenId> ids_;
};

/// Reads to_config()'s document.
std::unique_ptr<Tokenizer> parse_words(const Config& document);

}  // namespace heed::data
