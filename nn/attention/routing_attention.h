// Routing attention (Roy, Saffar, Vaswani and Grangier, "Efficient Content-Based Sparse Attention
// with Routing Transformers", arXiv 2003.05997): each head clusters its tokens by online k-means,
// and a token sees the tokens of its cluster.
//   q^ = norm(q), k^ = norm(k)     without gain and bias; causal: k^ = q^, one vector does both
//   cluster c: the w tokens with the largest q^ . centroid_c (and as many keys, by k^)
//   y_i = mean over the clusters of i of softmax(q^_i k^_c) v_c     no 1 / sqrt(d)
// The first heads route; the others, if any, see their block and the one before.
//
// A cluster's w places are filled by the whole text: a later token may push an earlier one out, so
// that training looks ahead a little (as published). `select: own` does not: a token sees the last
// w earlier members of the one cluster that is its own.
#pragma once

#include <string>

#include "nn/attention/online_kmeans.h"
#include "nn/attention/projected_attention.h"

namespace heed::nn {

struct RoutingOptions {
  int64_t clusters = 8;
  int64_t window = 0;
  std::string select = "top";
  int64_t local_heads = 0;
  int64_t local_block = 64;
  double decay = 0.999;
  std::string start = "one";
  bool renormalise = false;

  void options(Options& o);
};

class RoutingAttention : public ProjectedAttention {
 public:
  RoutingAttention(const AttentionHost& host, const RoutingOptions& options);

  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  double flops(int64_t tokens) const override;

  OnlineKMeans kmeans;

 private:
  struct Routed {
    Tensor q, k, v;                   // [B, R, N, D]: of the new tokens, then of all
    Tensor query_scores, key_scores;  // [B, R, K, N]: of q and k, by the centroids
  };

  int64_t routing_heads() const { return host().heads - options_.local_heads; }
  int64_t window(int64_t tokens) const;
  /// Attention of the new tokens (the last of all) by each selection.
  Tensor top(const Routed& in, const AttentionSpec& how) const;
  Tensor top_of_last(const Routed& in) const;
  Tensor own(const Routed& in, const AttentionSpec& how) const;
  AttentionPattern near(int64_t tokens) const;
  Tensor local(const Heads& in, const AttentionSpec& how) const;
  void learn(const Routed& in);

  RoutingOptions options_;
};

}  // namespace heed::nn
