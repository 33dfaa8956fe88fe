// Tokenizer: text to token ids and back, by kinds with one file format:
//
//   bytes   256 byte values, then the end-of-text token: any file, nothing to train
//   chars   the code points of a text in ascending order, as nanoGPT's character models
//   bpe     byte-level byte-pair encoding (GPT-2; Sennrich et al., arXiv 1508.07909)
//   sentence_bpe   the same over characters of a whole text (Llama 2)
//   words   lower-case words, of which rare ones are one token, for classification
//   word_piece, unigram, char_bpe   the other models of tokenizer.json (pipeline.h)
//   sentencepiece  a SentencePiece .model (sentence_piece.h)
//
// decode(encode(text)) == text for arbitrary bytes, but for words; for chars: for bytes whose
// characters are in the vocabulary; for bpe with NFC (Qwen): the composed text; for sentence_bpe:
// U+2581 becomes a space, and a Metaspace without a Prepend loses a space in front. word_piece,
// unigram and sentencepiece give back what their normalizers left, and not what was unknown.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "data/added_tokens.h"
#include "data/frame.h"

namespace heed::data {

/// Tokens, and the type of the segment that each is in: 0 of a text alone.
struct FramedTokens {
  std::vector<TokenId> ids;
  std::vector<int32_t> types;
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
  void encode(std::string_view text, std::vector<TokenId>& ids) const;
  std::vector<TokenId> encode(std::string_view text) const;
  /// As encode, but special tokens written out in the text become their ids, but for those that
  /// begin at the offsets `plain` (ascending).
  std::vector<TokenId> encode_with_specials(std::string_view text,
                                            std::span<const size_t> plain = {}) const;
  /// encode() within the tokens of frame(), at most `longest` in all: the text loses its end.
  FramedTokens encode_framed(std::string_view text, int64_t longest = INT64_MAX) const;
  /// Two texts within the tokens of frame(); a RequestError where it has none for pairs.
  FramedTokens encode_pair(std::string_view first, std::string_view second) const;

  /// The bytes that a token stands for within a text; a special token's is its name. Throws
  /// RequestError for an id outside the vocabulary.
  virtual std::string_view token(TokenId id) const = 0;
  /// The text of the ids. A token may end within a UTF-8 character: the result is bytes.
  virtual std::string decode(std::span<const TokenId> ids) const;
  /// The document of a tokenizer.json file.
  virtual Config to_config() const = 0;

  const std::vector<SpecialToken>& specials() const { return specials_; }
  /// Of an added token, also one that plain text encodes to.
  bool is_special(TokenId id) const;
  /// The token between documents: "<|endoftext|>", or what other families call it ("</s>"); none
  /// for chars, whose vocabulary is the text's alone.
  std::optional<TokenId> end_of_text() const;
  /// What stands around a text for a model; mostly nothing.
  const Frame& frame() const { return frame_; }
  /// What a text to go on from begins with (a begin-of-text token), and what ends a whole one.
  const std::vector<TokenId>& start() const { return start_; }
  const std::vector<TokenId>& finish() const { return finish_; }
  /// Bytes of text that the ids stand for; special tokens count none.
  int64_t text_bytes(std::span<const TokenId> ids) const;

  /// Writes tokenizer.json, atomically.
  void save(const std::string& path) const;

 protected:
  /// A piece of text without added tokens (but those that are looked for when it is normalised).
  struct Piece {
    std::string_view text;
    bool first = true;           ///< the text begins with it
    bool with_specials = false;  ///< special tokens count
  };
  virtual void encode_piece(const Piece& piece, std::vector<TokenId>& ids) const = 0;

  /// The added tokens, before any text is encoded. With `normalizes` those that are looked for in
  /// the normalised text are left to encode_piece().
  void set_specials(std::vector<SpecialToken> specials, bool normalizes = false);
  void set_frame(Frame frame);

  bool leading_space_ = false;  ///< encode() puts one in front of a text, decode() takes it away

 private:
  void encode_parts(std::string_view text, bool with_specials, std::span<const size_t> plain,
                    std::vector<TokenId>& ids) const;

  std::vector<SpecialToken> specials_;
  std::vector<TokenId> special_ids_;  ///< ascending
  AddedTokens added_;
  Frame frame_;
  std::vector<TokenId> start_, finish_;
};

/// Whether a folder holds a tokenizer's files, as load_tokenizer() takes them.
bool has_tokenizer_files(const std::string& folder);

/// The name of the end-of-text token.
inline constexpr const char* kEndOfText = "<|endoftext|>";

/// Reads a tokenizer.json: ours, or one in the layout of Hugging Face `tokenizers` (BPE, WordPiece,
/// Unigram), or a SentencePiece .model. A folder stands for the tokenizer.json in it, or for a pair
/// vocab.json and merges.txt (GPT-2), tokenizer.model or spiece.model, vocab.txt (BERT). Anything
/// else is a RequestError that says what was found.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);
/// The same from a parsed tokenizer.json; `name` stands for the file in errors.
std::unique_ptr<Tokenizer> parse_tokenizer(const Config& document, const std::string& name);

}  // namespace heed::data
