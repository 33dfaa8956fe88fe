// Frame: the special tokens around a text, or around a pair of texts, and the types of segments:
//   BERT     [CLS] A [SEP]    [CLS] A [SEP] B:1 [SEP]:1    (Devlin et al., arXiv 1810.04805)
//   Llama    <s> A            <s> A <s>:1 B:1
#pragma once

#include <cstdint>
#include <vector>

#include "data/added_tokens.h"

namespace heed::data {

struct Frame {
  struct Part {
    enum class Kind : uint8_t { token, first, second };  ///< a special token, text A, text B
    Kind kind = Kind::token;
    TokenId id = 0;    ///< of a token
    int32_t type = 0;  ///< of the segment

    bool operator==(const Part&) const = default;
  };

  std::vector<Part> single, pair;  ///< empty: a text alone

  Frame() = default;
  /// Tokens in front of every text, as decoders have them.
  explicit Frame(const std::vector<TokenId>& start);

  bool empty() const { return single.empty(); }
  /// The tokens in front of a text alone, and those behind it.
  std::vector<TokenId> start() const;
  std::vector<TokenId> finish() const;

  bool operator==(const Frame&) const = default;
};

}  // namespace heed::data
