// SentencePieceTokenizer: a SentencePiece .model (Kudo and Richardson, arXiv 1808.06226), of its
// unigram or BPE kind: the ids that the `sentencepiece` package gives.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/sentence_piece_model.h"
#include "data/tokenizer.h"
#include "data/unigram.h"

namespace heed::data {

class SentencePieceTokenizer : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(SentencePieceModel model);
  SentencePieceTokenizer(const SentencePieceTokenizer&) = delete;  // by_text_ looks into model_
  SentencePieceTokenizer& operator=(const SentencePieceTokenizer&) = delete;

  const char* type() const override { return "sentencepiece"; }
  int64_t vocab_size() const override { return static_cast<int64_t>(tokens_.size()); }
  std::string_view token(TokenId id) const override;
  std::string decode(std::span<const TokenId> ids) const override;
  Config to_config() const override;

  /// The text as the pieces see it: replaced, trimmed, with U+2581 for spaces.
  std::string normalize(std::string_view text) const;
  const SentencePieceModel& model() const { return model_; }

 private:
  void encode_piece(const Piece& piece, std::vector<TokenId>& ids) const override;
  void encode_unigram(const std::string& text, std::vector<TokenId>& ids) const;
  void encode_bpe(const std::string& text, std::vector<TokenId>& ids) const;
  void append_unknown(std::string_view text, bool follows, std::vector<TokenId>& ids) const;
  /// The user-defined symbol that a text begins with, or 0 bytes.
  size_t symbol_length(std::string_view text) const;

  SentencePieceModel model_;
  std::vector<std::string> tokens_;  ///< their bytes
  TokenId unknown_ = 0;
  ByteTokens bytes_;
  UnigramSearch search_;
  std::unordered_map<std::string_view, TokenId> by_text_;  ///< what texts may be cut into
  Trie symbols_;                                           ///< user-defined ones
  bool has_symbols_ = false;
};

}  // namespace heed::data
