// Byte-pair encoding over characters (Sennrich et al., arXiv 1508.07909), as Llama 2, Mistral and
// Gemma have it from SentencePiece (Kudo and Richardson, arXiv 1808.06226): a piece is a text, or a
// word, with U+2581 for spaces; a character that is no token is its bytes' tokens, or unknown.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/byte_fallback.h"
#include "data/merges.h"
#include "data/token_map.h"
#include "data/token_model.h"

namespace heed::data {

struct CharBpeOptions {
  TokenId unknown = -1;  ///< or none: a character without token and bytes is a RequestError
  bool fuse_unknown = false;
  bool byte_fallback = false;
  bool ignore_merges = false;  ///< a piece that is a token is that token, however merges would end
};

class CharBpe : public TokenModel {
 public:
  using Entry = std::pair<std::string, TokenId>;

  /// Ids are below 2^24. Those of `vocab` in `specials` are of no text. `merges` in order of rank;
  /// the two parts and their concatenation must be tokens. RequestError otherwise.
  CharBpe(std::vector<Entry> vocab, const std::vector<SpecialToken>& specials,
          std::vector<Merges::Pair> merges, CharBpeOptions options);

  const char* type() const override { return "char_bpe"; }
  void encode(std::string_view piece, std::vector<TokenId>& ids) const override;
  void write(Config& model) const override;

 private:
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const;

  std::vector<Entry> vocab_;
  std::vector<Merges::Pair> pairs_;
  CharBpeOptions options_;
  TokenMap by_text_;
  ByteTokens bytes_;
  Merges merges_;
  /// No token of a merge goes on with U+2581 behind another character: what such marks begin are
  /// words, each merged by itself.
  bool has_words_ = false;
};

}  // namespace heed::data
