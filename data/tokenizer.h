// Tokenizer: text to token ids and back, by kinds with one file format:
//
//   bytes   256 byte values, then the end-of-text token: any file, nothing to train
//   chars   the code points of a text in ascending order, as nanoGPT's character models
//   bpe     byte-level byte-pair encoding (GPT-2; Sennrich et al., arXiv 1508.07909)
//   sentence_bpe   the same over characters of a whole text (Llama 2)
//   words   lower-case words, of which rare ones are one token, for classification
//
// decode(encode(text)) == text for arbitrary bytes, but for words; for chars: for bytes whose
// characters are in the vocabulary; for bpe with NFC (Qwen): the composed text; for sentence_bpe:
// U+2581 becomes a space, and a Metaspace without a Prepend loses a space in front.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"

namespace heed::data {

using TokenId = int32_t;

/// A token that no plain text encodes to, such as "<|endoftext|>".
struct SpecialToken {
  std::string text;
  TokenId id = 0;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// "bytes", "chars", "bpe", ...
  virtual const char* type() const = 0;
  /// Ids are in [0, vocab_size()), special tokens included.
  virtual int64_t vocab_size() const = 0;
  /// Appends the ids of `text` to `ids`; special tokens written out in it are plain text. A
  /// RequestError names a character outside the vocabulary, with its offset.
  virtual void encode(std::string_view text, std::vector<TokenId>& ids) const = 0;
  /// The bytes that a token stands for; a special token's is its name. Throws RequestError for an
  /// id outside the vocabulary.
  virtual std::string_view token(TokenId id) const = 0;
  /// The document of a tokenizer.json file.
  virtual Config to_config() const = 0;

  std::vector<TokenId> encode(std::string_view text) const;
  /// As encode, but special tokens written out in the text become their ids.
  std::vector<TokenId> encode_with_specials(std::string_view text) const;
  /// The text of the ids. A token may end within a UTF-8 character: the result is bytes.
  std::string decode(std::span<const TokenId> ids) const;

  const std::vector<SpecialToken>& specials() const { return specials_; }
  bool is_special(TokenId id) const;
  /// The token between documents: "<|endoftext|>", or what other families call it ("</s>"); none
  /// for chars, whose vocabulary is the text's alone.
  std::optional<TokenId> end_of_text() const;
  /// What a text to go on from begins with (a begin-of-text token); mostly nothing.
  const std::vector<TokenId>& start() const { return start_; }
  /// Bytes of text that the ids stand for; special tokens count none.
  int64_t text_bytes(std::span<const TokenId> ids) const;

  /// Writes tokenizer.json, atomically.
  void save(const std::string& path) const;

 protected:
  std::vector<SpecialToken> specials_;
  std::vector<TokenId> start_;
  bool leading_space_ = false;  ///< encode() puts one in front of a text, decode() takes it away
};

/// The name of the end-of-text token.
inline constexpr const char* kEndOfText = "<|endoftext|>";

/// Reads a tokenizer.json: ours, or a BPE, byte-level or with byte fallback, in the Hugging Face
/// `tokenizers` layout. A folder stands for the tokenizer.json in it, or for a pair vocab.json and
/// merges.txt (GPT-2). Anything else is a RequestError that says what was found.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);
/// The same from a parsed document; `name` stands for the file in errors.
std::unique_ptr<Tokenizer> parse_tokenizer(const Config& document, const std::string& name);

}  // namespace heed::data
