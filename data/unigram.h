// Unigram language model (Kudo, arXiv 1804.10959): of all ways to cut a text into pieces the one
// whose log-probabilities have the largest sum, found by Viterbi's algorithm over a trie. A
// character that no piece begins with is unknown, at a price below that of every piece.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/byte_fallback.h"
#include "data/token_model.h"
#include "data/trie.h"

namespace heed::data {

/// The search, which tokenizer.json's Unigram and SentencePiece's share.
class UnigramSearch {
 public:
  /// A cut: where it ends, and which piece it is; an unknown character is kUnknown.
  struct Cut {
    size_t end = 0;
    int32_t id = 0;
  };
  static constexpr int32_t kUnknown = -1;
  /// How far an unknown character lies below the least likely piece.
  static constexpr double kUnknownPenalty = 10.0;

  /// A piece that may be used; `bonus` of one that is always taken: its score is that of every
  /// byte times `score`, less 0.1.
  void add(const std::string& piece, int32_t id, double score, bool per_byte = false);
  void set_unknown_score(double score) { unknown_score_ = score; }
  /// The cuts of a text of valid UTF-8, in order. Sums are kept in f32, as SentencePiece does, or
  /// in f64, as `tokenizers` does: near ties fall as theirs.
  std::vector<Cut> best(std::string_view text, bool single_precision) const;

 private:
  template <class Sum>
  std::vector<Cut> search(std::string_view text) const;

  struct Score {
    double score = 0.0;
    bool per_byte = false;
  };
  Trie trie_;
  std::vector<Score> scores_;  ///< by id
  double unknown_score_ = 0.0;
};

/// tokenizer.json's.
class Unigram : public TokenModel {
 public:
  using Entry = std::pair<std::string, double>;

  /// `vocab[id]`: pieces and log-probabilities. Those in `specials` are of no text. `unknown` < 0:
  /// an unknown character is a RequestError. `byte_fallback`: it is its bytes, where they all have
  /// tokens.
  Unigram(std::vector<Entry> vocab, const std::vector<SpecialToken>& specials, TokenId unknown,
          bool byte_fallback);

  const char* type() const override { return "unigram"; }
  void encode(std::string_view piece, std::vector<TokenId>& ids) const override;
  void write(Config& model) const override;

 private:
  std::vector<Entry> vocab_;
  TokenId unknown_;
  bool byte_fallback_;
  ByteTokens bytes_;
  UnigramSearch search_;
};

}  // namespace heed::data
