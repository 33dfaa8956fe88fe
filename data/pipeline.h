// PipelineTokenizer: a tokenizer as Hugging Face `tokenizers` composes it in tokenizer.json:
//
//   added tokens | normalizer | added tokens of the normalised text | pre_tokenizer | model
//
// and back through the decoder. Every part is one of those that its own header names; a part that
// it does not name is refused. (Byte-level BPE, which needs none of them, is BpeTokenizer.)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/normalizer.h"
#include "data/pre_tokenizer.h"
#include "data/token_decoder.h"
#include "data/token_model.h"
#include "data/tokenizer.h"

namespace heed::data {

class PipelineTokenizer : public Tokenizer {
 public:
  /// Reads a document whose model is WordPiece, Unigram, or a BPE over characters. RequestError
  /// says, with its place, what is wrong or not known.
  explicit PipelineTokenizer(const Config& document);

  const char* type() const override { return model_->type(); }
  int64_t vocab_size() const override { return static_cast<int64_t>(written_.size()); }
  std::string_view token(TokenId id) const override;
  std::string decode(std::span<const TokenId> ids) const override;
  /// The document that it was read from.
  Config to_config() const override;

 private:
  void encode_piece(const Piece& piece, std::vector<TokenId>& ids) const override;
  void encode_normal(const std::string& text, bool first, std::vector<TokenId>& ids) const;
  const std::string& written(TokenId id) const;

  Config document_;  ///< without the vocabulary
  Normalizer normalizer_;
  AddedTokens normal_added_;  ///< those that are looked for in the normalised text
  PreTokenizer pre_tokenizer_;
  std::unique_ptr<TokenModel> model_;
  std::unique_ptr<TokenDecoder> decoder_;
  std::vector<std::string> written_;  ///< tokens as the file has them
  std::vector<std::string> pieces_;   ///< their bytes within a text
};

/// Whether such a tokenizer reads the document's model, and not BpeTokenizer.
bool is_pipeline(const Config& document);

}  // namespace heed::data
