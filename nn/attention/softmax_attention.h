// Multi-head self-attention (Vaswani et al. 2017, eq. 1), with grouped queries (Ainslie et al.,
// arXiv 2305.13245) when there are fewer key than query heads:
//   out = softmax(scale q k^T + position bias) v        over all pairs, or causally
#pragma once

#include "nn/attention/projected_attention.h"

namespace heed::nn {

struct SoftmaxAttentionOptions {
  double scale = 0.0;
  double softcap = 0.0;
  bool sink = false;

  void options(Options& o);
};

class SoftmaxAttention : public ProjectedAttention {
 public:
  SoftmaxAttention(const AttentionHost& host, const SoftmaxAttentionOptions& options);

  using AttentionMechanism::forward;
  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  double flops(int64_t tokens) const override;
  bool shares_tokens() const override { return true; }
  bool packs_documents() const override { return true; }
  void split_heads(const TensorSplitPointer& split) override;

  Tensor sink;  ///< [heads] logits without a value, with the option

 private:
  SoftmaxAttentionOptions options_;
};

}  // namespace heed::nn
