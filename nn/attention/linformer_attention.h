// Linformer attention (arXiv 2006.04768, eq. 7): keys and values of n tokens are projected along
// the tokens to a few, so that time and memory are linear in n:
//   K' = E K    V' = F V    [k, D]        out = softmax(scale q K'^T) V'
// E and F [k, tokens] are learned, and shared by the heads. Where ranks share the tokens each holds
// the columns of its own, and K' and V' are summed over the ranks: nothing of all tokens' size is
// left on any (the sparse case of arXiv 2105.13120).
#pragma once

#include "nn/attention/projected_attention.h"

namespace heed::nn {

struct LinformerOptions {
  int64_t tokens = 1024;
  int64_t projected = 128;
  bool shared = false;

  void options(Options& o);
};

class LinformerAttention : public ProjectedAttention {
 public:
  LinformerAttention(const AttentionHost& host, const LinformerOptions& options);

  using AttentionMechanism::forward;
  /// Of at most `tokens` tokens, or exactly as many where ranks share them.
  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  double flops(int64_t tokens) const override;

  bool shares_tokens() const override { return true; }
  /// The columns of this rank's tokens; a RequestError where these are not evenly spaced.
  void keep_own_tokens(const TokenSplit& split) override;
  void split_heads(const TensorSplitPointer& split) override { split_projections(split); }

  Tensor key_projection, value_projection;  ///< E and F; F is E's values with `shared`: undefined

 private:
  Tensor projected(const Tensor& projection, const Tensor& x) const;

  LinformerOptions options_;
};

}  // namespace heed::nn
