// The merges of byte-pair encoding: in a row of symbols the adjacent pair of lowest rank becomes
// one, the leftmost among equals, until no pair is left (Sennrich et al., arXiv 1508.07909).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "data/flat_map.h"
#include "data/tokenizer.h"

namespace heed::data {

class Merges {
 public:
  using Pair = std::pair<TokenId, TokenId>;

  /// Room for `count` merges.
  explicit Merges(size_t count = 0) : by_pair_(count) {}

  /// The next by rank: `pair` becomes `whole`. Of a pair that is there twice the last counts.
  void add(const Pair& pair, TokenId whole);
  /// Merges what can be merged.
  void apply(std::vector<TokenId>& symbols) const;

 private:
  struct Merge {
    int32_t rank;
    TokenId id;
  };

  const Merge* find(TokenId left, TokenId right) const;
  void apply_to_few(std::vector<TokenId>& symbols) const;
  void apply_to_many(std::vector<TokenId>& symbols) const;

  FlatMap<Merge> by_pair_;
  int32_t count_ = 0;
};

}  // namespace heed::data
