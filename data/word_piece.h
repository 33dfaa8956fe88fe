// WordPiece (Wu et al., arXiv 1609.08144; BERT's form): from its start, a word is cut into the
// longest tokens there are, those behind the first with a prefix ("##ing"). A word that cannot be
// cut that way, or is too long, is one unknown token.
#pragma once

#include <string>
#include <vector>

#include "data/token_model.h"
#include "data/trie.h"

namespace heed::data {

struct WordPieceOptions {
  std::string unknown = "[UNK]";
  std::string prefix = "##";   ///< of tokens within a word
  int64_t longest_word = 100;  ///< characters
};

class WordPiece : public TokenModel {
 public:
  using Entry = std::pair<std::string, TokenId>;

  /// Those of `vocab` that are in `specials` are of no word. RequestError when the unknown token
  /// is not in the vocabulary.
  WordPiece(std::vector<Entry> vocab, const std::vector<SpecialToken>& specials,
            WordPieceOptions options);

  const char* type() const override { return "word_piece"; }
  void encode(std::string_view piece, std::vector<TokenId>& ids) const override;
  void write(Config& model) const override;

 private:
  std::vector<Entry> vocab_;
  WordPieceOptions options_;
  Trie trie_;
  TokenId unknown_ = 0;
  int32_t within_word_ = Trie::kNone;  ///< the node behind the prefix
};

}  // namespace heed::data
