// One token a byte: ids 0 to 255 are the bytes, 256 is the end of text.
#pragma once

#include "data/tokenizer.h"

namespace heed::data {

class ByteTokenizer : public Tokenizer {
 public:
  ByteTokenizer();

  const char* type() const override { return "bytes"; }
  int64_t vocab_size() const override { return 257; }
  std::string_view token(TokenId id) const override;
  /// {"version": "1.0", "type": "bytes", "added_tokens": [{"id": 256, "content": ...}]}
  Config to_config() const override;

 private:
  void encode_piece(const Piece& piece, std::vector<TokenId>& ids) const override;
};

}  // namespace heed::data
