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
//
// What the published model has beside it, by options (checked against its code, google-research's
// routing_transformer/utils.py): learned vectors by distance, in tokens for the near blocks and in
// places of the cluster's list for the others; a matrix behind every head, the same for all (the
// code means to mix heads, but drops the result of its own reshape); and a loss that draws vectors
// to their centroids.
#pragma once

#include <memory>
#include <string>

#include "nn/attention/projected_attention.h"
#include "nn/attention/relative_vectors.h"
#include "nn/extra_losses.h"
#include "nn/layers/online_kmeans.h"

namespace heed::nn {

struct RoutingOptions {
  int64_t clusters = 8;
  int64_t window = 0;
  std::string select = "top";
  int64_t local_heads = 0;
  int64_t local_block = 64;
  int64_t skip_first = 0;
  int64_t relative = 0;
  bool head_matrix = false;
  double decay = 0.999;
  std::string start = "one";
  bool renormalise = false;
  double commitment = 0.0;

  void options(Options& o);
};

class RoutingAttention : public ProjectedAttention, public AddsLosses {
 public:
  RoutingAttention(const AttentionHost& host, const RoutingOptions& options);

  Tensor forward(const Tensor& x, const AttentionContext& context) override;
  double flops(int64_t tokens) const override;
  void split_heads(const TensorSplitPointer& split) override;
  bool adds_losses() const override { return options_.commitment > 0.0 && routing_heads() > 0; }

  std::unique_ptr<OnlineKMeans> kmeans;              // null where no head routes
  std::unique_ptr<RelativeVectors> local, by_place;  // or null
  std::unique_ptr<Linear> head_matrix;               // or null

 private:
  struct Routed {
    Tensor q, k, v;                   // [B, R, N, D]: of the new tokens, then of all
    Tensor query_scores, key_scores;  // [B, R, K, N]: of q and k, by the centroids
  };

  int64_t routing_heads() const { return host().heads - local_heads_; }
  int64_t window(int64_t tokens) const;
  /// The routing heads' output [B, R, N, D] for x's tokens, and what the step learns from them.
  Tensor routed(const Tensor& q, const Tensor& k, const Heads& all, const AttentionSpec& how,
                bool cached);
  /// Attention of the new tokens (the last of all) by each selection.
  Tensor top(const Routed& in, const AttentionSpec& how) const;
  Tensor top_of_last(const Routed& in) const;
  Tensor own(const Routed& in, const AttentionSpec& how) const;
  Tensor own_of_last(const Routed& in) const;
  Tensor own_both_ways(const Routed& in, const AttentionSpec& how) const;
  /// Attention within lists of tokens, whose places are the positions.
  Tensor in_lists(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionSpec& how,
                  const RelativeVectors::Pairs& pairs) const;
  AttentionPattern near(int64_t tokens) const;
  Tensor near_blocks(const Heads& in, const AttentionSpec& how) const;
  Tensor commitment(const Routed& in) const;
  void learn(const Routed& in);

  RoutingOptions options_;
  int64_t local_heads_;
};

}  // namespace heed::nn
