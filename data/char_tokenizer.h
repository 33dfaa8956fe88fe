// One token a character: the code points of a text in ascending order, as in nanoGPT's character
// models (65 of them for Tiny Shakespeare). There is no end-of-text token and none for unknown
// characters: a character outside the vocabulary is an error. Bytes that are not UTF-8 count as
// characters of their own (data/unicode.h), so nothing is lost.
#pragma once

#include <vector>

#include "data/flat_map.h"
#include "data/tokenizer.h"

namespace heed::data {

class CharTokenizer : public Tokenizer {
 public:
  /// Ids follow the order given. RequestError when a code point is invalid or given twice.
  explicit CharTokenizer(const std::vector<int32_t>& code_points);

  const char* type() const override { return "chars"; }
  int64_t vocab_size() const override { return static_cast<int64_t>(code_points_.size()); }
  std::string_view token(TokenId id) const override;
  /// {"version": "1.0", "type": "chars", "code_points": [10, 32, ...]}; a byte b outside UTF-8 is
  /// listed as 0xDC00 + b.
  Config to_config() const override;

  /// The characters of the texts in ascending order.
  static CharTokenizer from_texts(const std::vector<std::string_view>& texts);

 private:
  void encode_piece(const Piece& piece, std::vector<TokenId>& ids) const override;
  std::vector<int32_t> code_points_;
  std::vector<std::string> bytes_;  ///< of each
  FlatMap<TokenId> ids_;            ///< by code point, plus one
};

}  // namespace heed::data
