// L-query self-attention (Zhu et al., MQSA-TED, arXiv 2311.01056): a token looks up what the mean
// of the last `window` tokens asks for, itself included; near the beginning of those that there
// are.
//   q_t = mean of x_(t-L+1) ... x_t, projected;   y = softmax(q k^T / sqrt(d)) v     causal
// A projection of a mean is the mean of the projections: these are averaged, before they are
// rotated. A window of 1 is plain attention.
#pragma once

#include "nn/attention/projected_attention.h"

namespace heed::nn {

/// The mean of the last `window` places up to each one, of those that there are: x [B, N, C] ->
/// [B, N, C].
Tensor mean_of_last(const Tensor& x, int64_t window);

struct AveragedQueryOptions {
  int64_t window = 3;

  void options(Options& o);
};

class AveragedQueryAttention : public ProjectedAttention {
 public:
  AveragedQueryAttention(const AttentionHost& host, const AveragedQueryOptions& options);

  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  double flops(int64_t tokens) const override;
  void split_heads(const TensorSplitPointer& split) override { split_projections(split); }

 private:
  /// Of queries [B, N, H D]; a cache holds those of the tokens before.
  Tensor averaged(const Tensor& queries, const AttentionContext& context) const;

  int64_t window_;
};

}  // namespace heed::nn
