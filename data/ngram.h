// Language-model baselines without a network: an interpolated n-gram with Kneser-Ney smoothing
// (Kneser & Ney 1995, in the interpolated form of Chen & Goodman, "An empirical study of smoothing
// techniques for language modeling", 1999, eq. 4.35), order 1 being the unigram.
//
//   p_k(w | h) = (max(c_k(hw) - D_k, 0) + D_k N_k(h) p_{k-1}(w | h')) / c_k(h)
//   p_0(w)     = 1 / V
//
// h: the k - 1 tokens before w; h': h without its first; c_n: occurrences, at the highest order n;
// c_k, k < n: how many different tokens precede the k-gram; c_k(h) = sum_w c_k(hw); N_k(h): how
// many w have c_k(hw) > 0; D_k = n1 / (n1 + 2 n2), n_i: k-grams with c_k = i. In a context never
// seen, p_k = p_{k-1}.
#pragma once

#include <cstdint>
#include <memory>

#include "data/tokens.h"

namespace heed::data {

/// Cross-entropy of held-out tokens.
struct Score {
  double nats = 0;     ///< sum of -ln p
  int64_t tokens = 0;  ///< that were predicted
  int64_t bytes = 0;   ///< of text that those tokens stand for

  double bits_per_token() const;
  double bits_per_byte() const;
};

/// Bits per byte of a loss: `nats` summed over tokens that stand for `bytes` of text.
double bits_per_byte(double nats, int64_t bytes);

/// Bytes of text that tokens [begin, begin + count) stand for; special tokens count none.
int64_t text_bytes(const Tokens& tokens, const Tokenizer& tokenizer, int64_t begin, int64_t count);

class Ngram {
 public:
  /// Counts the n-grams of `train`, order >= 1. Memory: about 24 bytes for each different n-gram of
  /// each order.
  Ngram(const Tokens& train, int order);
  ~Ngram();
  Ngram(Ngram&&) noexcept;

  /// p(token | the tokens of `history` before it, the latest last); only order - 1 of them count.
  double probability(std::span<const TokenId> history, TokenId token) const;
  /// Predicts tokens 1, 2, ... of `heldout` each from those before it, as EvaluationBatches does.
  Score score(const Tokens& heldout, const Tokenizer& tokenizer) const;

  int order() const;

 private:
  struct Counts;
  std::unique_ptr<Counts> counts_;
};

}  // namespace heed::data
