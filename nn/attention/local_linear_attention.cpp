#include "nn/attention/local_linear_attention.h"

#include "autograd/ops/solve.h"

namespace heed::nn {

void LocalLinearAttentionOptions::options(Options& o) {
  o.field("scale", scale, "factor on q.k in the weights; 0 means 1/sqrt(head_dim)", {.min = 0});
  o.field("ridge", ridge, "added to the covariance of the keys; large: softmax attention",
          {.above = 0});
  o.field("iterations", iterations, "most steps of conjugate gradients", {.min = 1});
  o.field("tolerance", tolerance, "the residual, over the right side, at which they end",
          {.min = 0, .below = 1});
}

LocalLinearAttention::LocalLinearAttention(const AttentionHost& host,
                                           const LocalLinearAttentionOptions& options)
    : ProjectedAttention(host), options_(options) {
  if (host.position == "alibi") {
    fail_request("attention 'local_linear' has no term for ALiBi: take other positions");
  }
}

Tensor LocalLinearAttention::forward(const Tensor& x, const AttentionContext& context) {
  HEED_CHECK(!context.bias.defined(), "attention local_linear: it takes no bias of the scores");
  HEED_CHECK(!context.lengths.defined() || host().causal,
             "attention local_linear: it cannot leave padding out where all tokens are seen");
  const Heads heads = project(x, context);
  return merge(local_linear_attention(
      heads.q, repeat_heads(heads.k, host().heads), repeat_heads(heads.v, host().heads),
      {.scale = options_.scale,
       .ridge = options_.ridge,
       .causal = host().causal,
       .solver = {.iterations = options_.iterations, .tolerance = options_.tolerance}}));
}

double LocalLinearAttention::flops(int64_t tokens) const {
  const auto n = static_cast<double>(tokens);
  const double pairs = host().causal ? n * (n + 1) / 2 : n * n;
  return projection_flops(tokens) + pairs * static_cast<double>(host().heads * host().head_dim) *
                                        static_cast<double>(8 + 4 * options_.iterations);
}

}  // namespace heed::nn
