// Online k-means of the vectors that pass by (Roy et al., "Efficient Content-Based Sparse Attention
// with Routing Transformers", arXiv 2003.05997, section 4.1): centroids are running means of their
// members, buffers without gradients, one set a head.
//   N_k <- decay N_k + (1 - decay) members;   M_k <- decay M_k + (1 - decay) sum of members
//   centroid_k = M_k / N_k, with N smoothed: (N_k + eps) / (sum N + K eps) sum N
#pragma once

#include <map>

#include "nn/module.h"
#include "nn/sums_over_ranks.h"

namespace heed::nn {

struct OnlineKMeansOptions {
  int64_t heads = 0;
  int64_t clusters = 0;
  int64_t dim = 0;
  double decay = 0.999;
  bool from_one = true;      ///< N starts at 1, not at 0
  bool renormalise = false;  ///< centroids keep the norm sqrt(dim)
};

struct OnlineKMeans : Module, SumsOverRanks {
  explicit OnlineKMeans(const OnlineKMeansOptions& options);

  /// x [B, H, N, D] -> its products with the centroids, f32 [B, H, K, N] (f64 for f64); not
  /// recorded. A pass that is computed again (autograd/checkpoint.h) sees those that keep() kept.
  Tensor scores(const Tensor& x) const;
  /// The cluster of each vector, that of the largest score (of equal ones the first): i64 [B, H,
  /// N].
  static Tensor members(const Tensor& scores);
  /// The centroids of those clusters, [B, H, N, D] of the dtype; not recorded, and in a pass that
  /// is computed again those that it began with, as for scores().
  Tensor nearest(const Tensor& members, DType dtype) const;
  /// Moves the centroids towards their members of x: after the forward pass, with the old ones,
  /// has used them.
  void update(const Tensor& x, const Tensor& members);
  /// Keeps the centroids as they are for when this pass, which is not recorded, is computed again:
  /// they will have moved by then.
  void keep();

  Tensor centroids;  // [H, K, D]
  Tensor counts;     // [H, K]: N
  Tensor sums;       // [H, K, D]: M

 private:
  /// Those that the pass under way began with.
  const Tensor& began() const;

  OnlineKMeansOptions options_;
  std::map<uint64_t, Tensor> kept_;  // by the pass's part of the step
};

}  // namespace heed::nn
