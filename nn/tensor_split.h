// How ranks share the matrices of a model, as its layers see it; distributed/tensor_parallel.h is
// where they talk to each other.
//
// A region of the model (attention, a feed-forward layer) is split: it takes whole features, works
// with this rank's heads or hidden features alone, and gives the sum of the ranks' shares. Between
// the regions every rank holds the same, or its own tokens (Korthikanti et al., arXiv 2205.05198,
// section 4.2.2): what lies there (norms, dropout, the residual stream) then takes a part of the
// memory, for the same traffic. Each of these functions has its adjoint over the ranks as its
// gradient (distributed/held_parts.h).
#pragma once

#include <memory>
#include <vector>

#include "autograd/ops/loss.h"
#include "nn/shard.h"
#include "nn/token_split.h"

namespace heed::nn {

class TensorSplit {
 public:
  virtual ~TensorSplit() = default;

  virtual int64_t part() const = 0;
  virtual int64_t parts() const = 0;
  /// This rank's part of a parameter whose dimension `dim` consists of `groups`.
  Shard shard(int dim, std::vector<int64_t> groups) const {
    for (const int64_t group : groups) {
      if (group < parts()) fail_request("{} ranks cannot share {} of a kind", parts(), group);
    }
    return {dim, std::move(groups), part(), parts(), SharedOver::tensor};
  }
  /// Where this rank's part of n things begins; where they share out unevenly, parts differ by one.
  int64_t first(int64_t n) const { return part() * n / parts(); }

  /// What a region takes: x, or all ranks' tokens of it [B, N, ...].
  virtual Tensor enter(const Tensor& x) const = 0;
  /// What it gives: the sum over the ranks, or this rank's tokens of it.
  virtual Tensor leave(const Tensor& x) const = 0;

  /// This rank's tokens of x [B, N, ...], and all ranks' of [B, N / parts, ...].
  virtual Tensor own_tokens(const Tensor& x) const = 0;
  virtual Tensor all_tokens(const Tensor& x) const = 0;
  /// The same places for layers that draw numbers by them.
  virtual std::shared_ptr<const TokenSplit> tokens() const = 0;
  /// While it lives, every rank holds its own tokens between the regions, if `on`.
  class Between {
   public:
    Between(const TensorSplit* split, bool on) : split_(on ? split : nullptr) {
      if (split_ != nullptr) split_->tokens_shared_ = true;
    }
    ~Between() {
      if (split_ != nullptr) split_->tokens_shared_ = false;
    }
    Between(const Between&) = delete;
    Between& operator=(const Between&) = delete;

   private:
    const TensorSplit* split_;
  };

  /// All n features of which x [..., own] holds this rank's part, on every rank.
  virtual Tensor whole(const Tensor& x, int64_t n) const = 0;
  /// What this rank shares with its neighbours, of `count` that stand together: parts 0 ... count -
  /// 1, the next `count`, and so on. Like whole() it is for a pass, in which every rank asks for
  /// it.
  virtual const TensorSplit& neighbours(int64_t count) const = 0;
  /// For the cross-entropy of n classes, of which this rank's part are the rows of its head.
  virtual std::shared_ptr<const SharedClasses> classes(int64_t n) const = 0;

 protected:
  bool tokens_shared() const { return tokens_shared_; }

 private:
  mutable bool tokens_shared_ = false;  // of the pass under way
};

/// Null: nothing is shared.
using TensorSplitPointer = std::shared_ptr<const TensorSplit>;

inline Tensor whole_of(const TensorSplitPointer& split, const Tensor& x, int64_t n) {
  return split ? split->whole(x, n) : x;
}
inline std::shared_ptr<const SharedClasses> classes_of(const TensorSplitPointer& split, int64_t n) {
  return split ? split->classes(n) : nullptr;
}

/// A model with an embedding of tokens, and a head over them, that ranks can share.
class SharesVocabulary {
 public:
  virtual ~SharesVocabulary() = default;
  /// Keeps this rank's part of the tokens. Logits that the model gives are still whole.
  virtual void split_vocabulary(const TensorSplitPointer& split) = 0;
};

}  // namespace heed::nn
