// Byte-level byte-pair encoding, as GPT-2: text is split into words (data/pretokenize.h), a word
// starts as its bytes, and the adjacent pair of lowest rank is merged until none is left.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/merges.h"
#include "data/pretokenize.h"
#include "data/token_map.h"
#include "data/tokenizer.h"

namespace heed::data {

/// In what families of tokenizers differ.
struct BpeStyle {
  WordSplit words = {};
  bool ignore_merges = false;  ///< a word that is a token is that token, however merges would end
  bool composed = false;       ///< text is brought to NFC first
  Frame frame = {};            ///< Tokenizer::frame()
};

class BpeTokenizer : public Tokenizer {
 public:
  using Pair = Merges::Pair;

  /// `tokens[id]` are the token's bytes (a special token's name); every single byte must be among
  /// those that are not special. `merges` in order of rank; the two parts and their concatenation
  /// must be tokens. Throws RequestError otherwise.
  BpeTokenizer(std::vector<std::string> tokens, std::vector<Pair> merges,
               std::vector<SpecialToken> specials, BpeStyle style = {});

  const char* type() const override { return "bpe"; }
  int64_t vocab_size() const override { return static_cast<int64_t>(tokens_.size()); }
  std::string_view token(TokenId id) const override;
  /// The layout of Hugging Face `tokenizers`, with ByteLevel pre-tokenizer and decoder.
  Config to_config() const override;

  const std::vector<Pair>& merges() const { return merges_; }

 private:
  void encode_piece(const Piece& piece, std::vector<TokenId>& ids) const override;
  void encode_word(std::string_view word, std::vector<TokenId>& ids) const;

  std::vector<std::string> tokens_;
  std::vector<Pair> merges_;
  std::vector<TokenId> byte_tokens_;  ///< of the 256 bytes
  Merges by_pair_;
  BpeStyle style_;
  TokenMap whole_words_;  ///< every token, with ignore_merges
};

struct BpeTrainOptions {
  int64_t vocab_size = 1024;  ///< 256 bytes, the merges and the end-of-text token
  int64_t min_frequency = 2;  ///< a pair seen less often is not merged
};

/// Learns merges from texts: the most frequent adjacent pair first, among equals the one of the
/// lowest ids (as `tokenizers` does). The vocabulary is smaller than asked for when the texts run
/// out of pairs. Ids: the bytes in the order of byte_alphabet(), the merges, end of text.
BpeTokenizer train_bpe(const std::vector<std::string_view>& texts, const BpeTrainOptions& options);

}  // namespace heed::data
