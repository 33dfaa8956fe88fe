// Local linear attention (arXiv 2510.01450): for each query, the value at it of the ridge
// regression of the values on the keys that is weighted by softmax attention's probabilities,
//   out_i = v' + C_vk (C_kk + ridge I)^-1 (q_i - k')     k', v' means and C covariances under p_ij
// Queries and keys must be of one scale for their difference to mean something: hosts do well to
// turn `qk_norm` on.
#pragma once

#include "nn/attention/projected_attention.h"

namespace heed::nn {

struct LocalLinearAttentionOptions {
  double scale = 0.0;
  double ridge = 0.1;
  int64_t iterations = 32;
  double tolerance = 1e-6;

  void options(Options& o);
};

class LocalLinearAttention : public ProjectedAttention {
 public:
  LocalLinearAttention(const AttentionHost& host, const LocalLinearAttentionOptions& options);

  using AttentionMechanism::forward;
  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  /// With all of the solver's steps.
  double flops(int64_t tokens) const override;
  void split_heads(const TensorSplitPointer& split) override { split_projections(split); }

 private:
  LocalLinearAttentionOptions options_;
};

}  // namespace heed::nn
