// How well similarities order a gallery for queries: mean average precision, and the part of the
// queries that find a relevant item among the first k (recall@k of metric learning, which person
// re-identification calls the cumulative matching characteristic at rank k).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "recipes/engine/task.h"

namespace heed::recipes {

class RetrievalMeasures {
 public:
  explicit RetrievalMeasures(std::vector<int64_t> ks);

  /// One query: its similarity to each item of the gallery, of equal ones the first comes first,
  /// and which are relevant. The item `itself` (-1: none) is left out. A query without a relevant
  /// item counts nowhere. An Error for a similarity that is not a number.
  void add(std::span<const float> similarities, const std::vector<bool>& relevant,
           int64_t itself = -1);
  /// Sums over the ranks of the mesh.
  void reduce(Communicator& communicator);

  /// Queries that count.
  double count() const { return count_; }
  /// map, then recall@k for every k; NaN without queries. A query's average precision is the mean,
  /// over its relevant items, of the precision among all up to that item (no interpolation).
  Metrics means() const;

 private:
  std::vector<int64_t> ks_;
  std::vector<double> found_;  // queries, by k
  double precision_ = 0.0, count_ = 0.0;
};

}  // namespace heed::recipes
