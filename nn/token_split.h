// How ranks share the tokens of a sequence, as a model sees it; distributed/sequence_parallel.h is
// where they talk to each other.
//
// A model that is split takes whole sequences and gives whole results on every rank; in between it
// holds its own tokens alone. Each of these functions has its adjoint as its gradient, by the rule
// of distributed/held_parts.h.
#pragma once

#include <functional>
#include <vector>

#include "autograd/ops/attention.h"
#include "autograd/ops/reduction.h"

namespace heed::nn {

class TokenSplit {
 public:
  virtual ~TokenSplit() = default;

  /// Ranks that share a sequence.
  virtual int64_t parts() const = 0;
  /// What the number of tokens must be a multiple of.
  virtual int64_t multiple() const = 0;
  /// Positions, i64 [n], of this rank's tokens among `tokens`, ascending. An error where they do
  /// not share out evenly.
  virtual Tensor positions(int64_t tokens) const = 0;
  /// The same for this rank's `count` tokens.
  std::vector<int64_t> own_positions(int64_t count) const;
  /// Whether every rank's tokens are evenly spaced.
  virtual bool evenly_spaced() const { return true; }
  /// This rank's tokens of x [B, N, ...].
  Tensor own(const Tensor& x) const;
  /// All ranks' tokens, in the order of the sequence: x [B, n, ...] -> [B, N, ...].
  virtual Tensor whole(const Tensor& x) const = 0;
  /// Sum over the ranks.
  virtual Tensor sum(const Tensor& x) const = 0;
  /// Attention of this rank's queries [B, H, n, D] over all ranks' keys and values; the spec is
  /// that of the whole sequences.
  virtual AttentionResult attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionSpec& spec) const = 0;
};

/// A model that takes whole sequences and gives whole results where ranks share its tokens.
class SharesTokens {
 public:
  virtual ~SharesTokens() = default;
  /// Tokens of a training sequence, which must share out among the ranks.
  virtual int64_t sequence_tokens() const = 0;
};

/// The mean loss of targets [B, N] (-100 does not count) on every rank: `loss` gives that of this
/// rank's targets, reduced as it is told to. A split of null: of all.
Tensor mean_over_tokens(const TokenSplit* split, const Tensor& targets,
                        const std::function<Tensor(const Tensor& own, Reduction)>& loss);

}  // namespace heed::nn
