// Tokens: a long sequence of token ids in the narrowest integers that hold the vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "data/tokenizer.h"

namespace heed::data {

class Tokens {
 public:
  Tokens() = default;
  /// 16 bits a token for a vocabulary up to 65,536, else 32.
  explicit Tokens(int64_t vocab_size);
  Tokens(std::span<const TokenId> ids, int64_t vocab_size);

  void reserve(int64_t size);
  /// Throws for an id outside [0, vocab).
  void append(std::span<const TokenId> ids);

  int64_t size() const;
  int64_t vocab_size() const { return vocab_size_; }
  TokenId operator[](int64_t index) const;
  /// Writes tokens [begin, begin + count) to `out`; throws when they are not all there.
  void copy(int64_t begin, int64_t count, int64_t* out) const;
  std::vector<TokenId> slice(int64_t begin, int64_t count) const;

 private:
  std::variant<std::vector<uint16_t>, std::vector<int32_t>> ids_;
  int64_t vocab_size_ = 0;
};

}  // namespace heed::data
