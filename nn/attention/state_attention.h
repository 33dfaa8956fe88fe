// The frame of mechanisms that carry a state of constant size along the tokens, in place of keys
// and values.
#pragma once

#include "autograd/ops/linear_attention.h"
#include "nn/attention/projected_attention.h"

namespace heed::nn {

class StateAttention : public ProjectedAttention {
 public:
  /// `name` for messages. There are no pairs to bias: ALiBi is refused; and no probabilities: the
  /// host's dropout of them has no meaning here.
  StateAttention(const char* name, const AttentionHost& host);

  using AttentionMechanism::forward;
  /// A multiply-add for each element of the state, twice a token: to add and to read.
  double flops(int64_t tokens) const override;

 protected:
  /// Queries, keys and values of x's tokens, grouped heads repeated: k and v have q's heads.
  Heads project_state_heads(const Tensor& x, const AttentionContext& context);
  /// causal_linear_attention from the cache's state on, if there is a cache, which takes the new
  /// one.
  Tensor attend(const Heads& heads, LinearAttentionOptions options,
                const AttentionContext& context) const;
  /// Channels of a key as the state sees them.
  virtual int64_t key_channels() const { return host().head_dim; }

 private:
  const char* name_;
};

}  // namespace heed::nn
