// Online k-means of the vectors that pass by: centroids are running means of their members, buffers
// without gradients, one set a head (Roy et al., "Efficient Content-Based Sparse Attention with
// Routing Transformers", arXiv 2003.05997, section 4.1; van den Oord et al., "Neural Discrete
// Representation Learning", arXiv 1711.00937, appendix A.1):
//   N_k <- decay N_k + (1 - decay) members;   M_k <- decay M_k + (1 - decay) sum of members
//   centroid_k = M_k / N_k, with N smoothed: (N_k + eps) / (sum N + K eps) sum N
// Where ranks share a batch all of this is of the whole batch, as on one rank.
#pragma once

#include <map>
#include <vector>

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
  /// A vector's cluster is the nearest, not that of the largest product (for vectors and centroids
  /// of one length the two are the same).
  bool euclidean = false;
  /// Centroids whose N falls below it begin anew as a vector of the batch, with N = 1 (Dhariwal et
  /// al., "Jukebox", arXiv 2005.00341, section 3.1); below 1, 0: never.
  double restart_below = 0.0;
  /// start_from() makes the first centroids of vectors, by so many of Lloyd's iterations; 0: they
  /// start at random.
  int64_t lloyd = 0;
};

struct OnlineKMeans : Module, SumsOverRanks {
  explicit OnlineKMeans(const OnlineKMeansOptions& options);

  /// x [B, H, N, D] -> its products with the centroids, less half of their squares where the
  /// nearest is asked for: f32 [B, H, K, N] (f64 for f64); not recorded. A pass that is computed
  /// again (autograd/checkpoint.h) sees those that keep() kept.
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

  /// Whether the centroids are to be made of vectors, and have not been yet.
  bool wants_start() const;
  /// Makes them: vectors drawn evenly from x (of all ranks), then options.lloyd iterations over it.
  /// N is what each has as members then.
  void start_from(const Tensor& x);

  Tensor centroids;  // [H, K, D]
  Tensor counts;     // [H, K]: N
  Tensor sums;       // [H, K, D]: M
  Tensor started;    // i64 []: whether start_from() was; undefined without

 private:
  /// What vectors add up to, over all ranks: [H, K] members, then [H, K, D] sums.
  std::vector<double> added_up(const Tensor& x, const Tensor& members) const;
  /// Vectors of all ranks' x by their number there, head by head: [H, numbers, D].
  std::vector<double> vectors_at(const Tensor& x, const std::vector<std::vector<int64_t>>& numbers,
                                 int64_t first) const;
  /// Where x's vectors (B N a head) stand among those of all ranks.
  struct Place {
    int64_t first = 0, all = 0;
    uint64_t micro_batch = 0;
  };
  Place place_of(const Tensor& x) const;
  void restart(const Tensor& x, std::vector<double>& count, std::vector<double>& sum) const;
  /// Sets the buffers, centroids from counts and sums.
  void set(const std::vector<double>& count, const std::vector<double>& sum);
  /// Those that the pass under way began with.
  const Tensor& began() const;
  size_t rows() const { return static_cast<size_t>(options_.heads * options_.clusters); }

  OnlineKMeansOptions options_;
  std::map<uint64_t, Tensor> kept_;  // by the pass's part of the step
};

}  // namespace heed::nn
