// RepeatedWords: text repeats its words, so each different one is encoded once.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/added_tokens.h"

namespace heed::data {

/// Appends words to `ids`. The words must live as long as this, and nothing else may change the
/// ids.
class RepeatedWords {
 public:
  explicit RepeatedWords(std::vector<TokenId>& ids) : ids_(ids) {}

  /// encode(word, ids) appends the ids of a word, which are the same wherever it stands.
  template <class Encode>
  void append(std::string_view word, Encode&& encode) {
    const auto [at, fresh] = known_.try_emplace(word, Span{ids_.size(), 0});
    if (fresh) {
      encode(word, ids_);
      at->second.size = ids_.size() - at->second.begin;
      return;
    }
    const auto [begin, size] = at->second;
    for (size_t i = 0; i < size; ++i) ids_.push_back(TokenId{ids_[begin + i]});
  }

 private:
  struct Span {
    size_t begin, size;  ///< of ids_
  };
  std::vector<TokenId>& ids_;
  std::unordered_map<std::string_view, Span> known_;
};

}  // namespace heed::data
