// Sums of gradients of which each rank keeps its share alone: a bucket is reduce-scattered along
// the data axis as soon as its gradients are final, while the backward pass goes on, and the whole
// gradients are let go of. (Compare distributed/gradient_reducer.h, which keeps the whole sums.)
//
// Along further axes on which ranks hold the same parameters the shares are summed in the end.
#pragma once

#include <unordered_map>
#include <vector>

#include "autograd/tape.h"
#include "distributed/shard_layout.h"

namespace heed {

class ShardedReducer {
 public:
  /// Both outlive it. Every rank of the mesh makes one, from the same parameters.
  ShardedReducer(const ShardLayout& layout, Mesh& mesh);
  ~ShardedReducer();
  ShardedReducer(const ShardedReducer&) = delete;
  ShardedReducer& operator=(const ShardedReducer&) = delete;

  /// Call before a backward pass at whose end the gradients are to be summed over ranks: the last
  /// of a step, whose gradients include what earlier passes left in the parameters, or every one,
  /// so that no pass leaves whole gradients behind. Sets the tape's hook.
  void begin();
  /// Call after it: the sums are added to those of earlier passes. The parameters have no gradient
  /// then.
  void finish();

  /// This rank's shares of the sums over all ranks, one a parameter: undefined where it holds
  /// nothing of it, or where no rank used it. The next sums start from nothing.
  std::vector<Tensor> take();

 private:
  struct State {
    size_t waiting = 0;    // gradients that are not final yet
    Tensor flat;           // [ranks, chunk + parameters], the last ones count users
    Tensor received, sum;  // [chunk + parameters]
    Work work;
  };

  void ready(const Tensor& leaf);
  void launch(size_t bucket);
  void settle(size_t bucket);

  const ShardLayout& layout_;
  Mesh& mesh_;
  std::vector<State> states_;  // of the buckets
  std::vector<bool> ready_;
  std::unordered_map<const AutogradState*, size_t> index_;
  size_t launched_ = 0, settled_ = 0;
  bool active_ = false;
};

}  // namespace heed
