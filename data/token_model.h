// TokenModel: how a piece of text becomes tokens of a vocabulary; what tokenizer.json calls the
// model. See word_piece.h, unigram.h and char_bpe.h.
#pragma once

#include <string_view>
#include <vector>

#include "core/config.h"
#include "data/added_tokens.h"

namespace heed::data {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  /// The tokenizer's type(): "word_piece", ...
  virtual const char* type() const = 0;
  /// Appends the ids of a piece, valid UTF-8 and not empty.
  virtual void encode(std::string_view piece, std::vector<TokenId>& ids) const = 0;
  /// Sets "vocab" (and "merges") in a model's section, as it was read.
  virtual void write(Config& model) const = 0;
};

}  // namespace heed::data
