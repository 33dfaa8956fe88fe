// MQSA (Zhu et al., "Collaboration and Transition: Distilling Item Transitions into Multi-Query
// Self-Attention for Sequential Recommendation", arXiv 2311.01056): two branches that differ in
// what they look up: the newest item alone, and the mean of the last L ones, whose query has more
// bias and less variance.
//   x = dropout(sqrt(C) E[items] + P[slot])
//   branch(L), a block:  a = norm1(mean of x over the last L places)
//                        o = norm2(a + attention(a Wq + bq, x Wk + bk, x Wv + bv))   causal
//                        y = o + W2 relu(W1 o)
//   h = alpha norm(branch(1)) + (1 - alpha) norm(branch(L))
// Keys and values come from x as it is, the residual is the normalised query, and there is no
// projection behind the attention.
#pragma once

#include <memory>

#include "core/options.h"
#include "nn/attention/averaged_query_attention.h"
#include "nn/layers/dropout.h"
#include "nn/layers/layer_norm.h"
#include "nn/layers/linear.h"
#include "nn/models/recommender.h"

namespace heed::nn {

struct MultiQueryRecommenderOptions {
  int64_t items = 0;
  int64_t context = 50;
  int64_t layers = 1;
  int64_t dim = 64;
  int64_t heads = 1;
  int64_t window = 3;
  double alpha = 0.5;
  double dropout = 0.5;
  double norm_eps = 1e-8;
  double init_std = 0.01;

  void options(Options& o);
};

/// A block of a branch.
struct WindowQueryBlock : Module {
  WindowQueryBlock(const MultiQueryRecommenderOptions& options, int64_t window);

  /// x [B, N, C] -> [B, N, C].
  Tensor forward(const Tensor& x);
  double flops(int64_t tokens) const;

  LayerNorm norm1, norm2;
  Linear q, k, v, up, down;
  Dropout dropout1, dropout2;

 private:
  int64_t heads_, window_;
  double dropout_;
};

struct WindowQueryBranch : Module {
  WindowQueryBranch(const MultiQueryRecommenderOptions& options, int64_t window);

  Tensor forward(const Tensor& x);

  ModuleList<WindowQueryBlock> blocks;
  LayerNorm norm;
};

class MultiQueryRecommender : public Recommender {
 public:
  explicit MultiQueryRecommender(const MultiQueryRecommenderOptions& options);

  Config config() const override;
  Tensor features(const Tensor& items) override;
  double flops() const override;
  const MultiQueryRecommenderOptions& options() const { return options_; }

  Embedding position;  // [context, C]
  Dropout dropout;
  std::unique_ptr<WindowQueryBranch> short_query, long_query;  // null where its share is 0

 private:
  MultiQueryRecommenderOptions options_;
};

}  // namespace heed::nn
