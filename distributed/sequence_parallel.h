// Ranks that share the tokens of every sequence: nn::TokenSplit over a communicator.
#pragma once

#include <memory>
#include <string>

#include "distributed/communicator.h"
#include "distributed/token_layout.h"
#include "nn/module.h"
#include "nn/token_split.h"

namespace heed {

/// How queries meet the keys of other ranks.
enum class SequenceMethod {
  ring,   ///< blockwise ring attention (ring_attention.h)
  rsa,    ///< Ring Self-Attention with stored scores (ring_self_attention.h)
  heads,  ///< an exchange of heads (head_exchange.h)
};

/// "ring", "rsa", "heads".
const char* name_of(SequenceMethod method);
/// A RequestError for any other name.
SequenceMethod sequence_method(const std::string& name);

class SequenceParallel final : public nn::TokenSplit {
 public:
  /// The ranks outlive it, and the backward passes of what it was used for.
  SequenceParallel(Communicator& ranks, TokenLayout layout,
                   SequenceMethod method = SequenceMethod::ring)
      : ranks_(ranks), layout_(layout), method_(method) {}

  int64_t parts() const override { return ranks_.size(); }
  int64_t multiple() const override { return pieces(layout_, ranks_.size()); }
  Tensor positions(int64_t tokens) const override;
  bool evenly_spaced() const override { return layout_ != TokenLayout::zigzag; }
  /// All-gather, with a reduce-scatter as its gradient.
  Tensor whole(const Tensor& x) const override;
  /// All-reduce, like its gradient.
  Tensor sum(const Tensor& x) const override;
  /// By an exchange of heads the result has no log-sum-exps.
  AttentionResult attention(const Tensor& q, const Tensor& k, const Tensor& v,
                            const AttentionSpec& spec) const override;

 private:
  Communicator& ranks_;
  TokenLayout layout_;
  SequenceMethod method_;
};

/// Lets ranks share the tokens of every sequence in this module and all below. A RequestError that
/// names the attention mechanism which cannot, where there is one; nothing is changed then. Called
/// once, when the parameters have their values: those that go by token become this rank's part.
void share_tokens(nn::Module& module, std::shared_ptr<const nn::TokenSplit> split);

/// The same for a whole model that knows how to (nn::SharesTokens), and whose training sequences
/// share out: a RequestError otherwise.
void share_sequences(nn::Module& model, std::shared_ptr<const nn::TokenSplit> split);

}  // namespace heed
