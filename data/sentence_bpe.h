// Byte-pair encoding of whole texts, as Llama 2 and Mistral have it from SentencePiece (Kudo and
// Richardson, arXiv 1808.06226): a space is the character U+2581 and one stands in front of the
// text; merges go over characters and across words; a character that is no token is its bytes'
// tokens, "<0xE2>" and so on.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "data/merges.h"
#include "data/tokenizer.h"

namespace heed::data {

/// What such a tokenizer.json says beside the vocabulary.
struct SentenceBpeStyle {
  bool always_prefixed = true;      ///< a text that begins with a space gets another one in front
  std::vector<TokenId> start = {};  ///< Tokenizer::start()
};

class SentenceBpeTokenizer : public Tokenizer {
 public:
  /// `tokens[id]` as they are written in the file ("\u2581the", "<0x0A>"). Every byte must have its
  /// token. `merges` in order of rank; the two parts and their concatenation must be tokens. Throws
  /// RequestError otherwise.
  SentenceBpeTokenizer(std::vector<std::string> tokens, std::vector<Merges::Pair> merges,
                       std::vector<SpecialToken> specials, SentenceBpeStyle style);

  const char* type() const override { return "sentence_bpe"; }
  int64_t vocab_size() const override { return static_cast<int64_t>(tokens_.size()); }
  using Tokenizer::encode;
  void encode(std::string_view text, std::vector<TokenId>& ids) const override;
  std::string_view token(TokenId id) const override;
  /// The layout of Hugging Face `tokenizers`, with a Prepend and a Replace normalizer, or the
  /// Metaspace pre-tokenizer.
  Config to_config() const override;

 private:
  std::vector<std::string> written_;
  std::vector<std::string> tokens_;  ///< their bytes
  std::vector<Merges::Pair> pairs_;
  std::vector<TokenId> byte_tokens_;
  std::unordered_map<std::string, TokenId> by_text_;  ///< by written form
  Merges merges_;
  SentenceBpeStyle style_;
};

}  // namespace heed::data
