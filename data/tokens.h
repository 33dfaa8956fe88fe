// Tokens: a long sequence of token ids in the narrowest integers that hold the vocabulary, and
// where the documents in it begin. In memory, or in files that are mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "data/tokenizer.h"

namespace heed::data {

/// Ids in memory that someone else owns, such as a mapped file's.
struct TokenPiece {
  std::shared_ptr<const void> owner;  ///< keeps the memory
  const std::byte* ids = nullptr;     ///< little-endian, aligned to their width
  int width = 2;                      ///< bytes of an id: 2 or 4
  int64_t count = 0;
  std::span<const uint64_t> starts = {};  ///< ascending: document i begins at starts[i] - base
  uint64_t base = 0;
  std::string name = {};  ///< stands for the piece in errors
};

class Tokens {
 public:
  Tokens() = default;
  /// 16 bits a token for a vocabulary up to 65,536, else 32.
  explicit Tokens(int64_t vocab_size);
  Tokens(std::span<const TokenId> ids, int64_t vocab_size);

  void reserve(int64_t size);
  /// Throws for an id outside [0, vocab). Not after append_piece().
  void append(std::span<const TokenId> ids);
  /// What is appended next begins a document.
  void begin_document();
  /// Refers to a piece's ids, which are checked as they are read. Not after append().
  void append_piece(TokenPiece piece);
  /// Refers to the pieces of `other` that hold its tokens [begin, end).
  void append_part(const Tokens& other, int64_t begin, int64_t end);

  int64_t size() const;
  int64_t vocab_size() const { return vocab_size_; }
  TokenId operator[](int64_t index) const;
  /// Writes tokens [begin, begin + count) to `out`; throws when they are not all there. A piece's
  /// id outside the vocabulary is a RequestError with its name and place.
  void copy(int64_t begin, int64_t count, int64_t* out) const;
  std::vector<TokenId> slice(int64_t begin, int64_t count) const;

  /// Documents that begin in the sequence.
  int64_t documents() const;
  /// The first tokens of documents in [begin, end), ascending.
  std::vector<int64_t> document_starts(int64_t begin, int64_t end) const;

 private:
  struct Pieces {
    std::vector<TokenPiece> pieces;
    std::vector<int64_t> ends;  ///< of each, among all tokens
    int64_t size() const { return ends.empty() ? 0 : ends.back(); }
  };

  void check_range(int64_t begin, int64_t count) const;
  template <class Out>
  void copy_to(int64_t begin, int64_t count, Out* out) const;

  std::variant<std::vector<uint16_t>, std::vector<int32_t>, Pieces> ids_;
  std::vector<int64_t> starts_;  ///< of documents, but for those in pieces
  int64_t vocab_size_ = 0;
};

}  // namespace heed::data
