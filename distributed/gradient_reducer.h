// Data parallelism: gradients are summed over ranks while the backward pass goes on.
//
// Parameters are packed into buckets, last registered first, as the backward pass reaches them.
// When all gradients of a bucket are final it goes out, and the pass goes on beside it (Li et al.,
// "PyTorch Distributed", VLDB 2020). Buckets go out in their order on every rank, so that ranks
// whose passes differ (a parameter that one of them does not use) still meet.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "autograd/tape.h"
#include "distributed/communicator.h"

namespace heed {

class GradientReducer {
 public:
  struct Options {
    int64_t bucket_bytes = int64_t{8} << 20;  ///< a larger parameter is a bucket of its own
  };

  /// Parameters in order of registration; the same on every rank. The communicator outlives this.
  GradientReducer(Communicator& ranks, std::vector<Tensor> parameters, Options options);
  GradientReducer(Communicator& ranks, std::vector<Tensor> parameters)
      : GradientReducer(ranks, std::move(parameters), Options()) {}
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  /// Call before the last backward pass of a step; earlier ones (gradient accumulation) stay local.
  /// Sets the tape's hook.
  void begin();
  /// Call after it. Then each parameter's gradient is the sum over ranks; a parameter that no rank
  /// used has none, as without ranks.
  void finish();

  int64_t buckets() const { return static_cast<int64_t>(buckets_.size()); }

 private:
  struct Bucket {
    std::vector<size_t> parameters;
    int64_t elements = 0;
    size_t waiting = 0;  // gradients that are not final yet
    Tensor flat;         // [elements + parameters], the last ones count the ranks with a gradient
    Work work;
  };

  void ready(const Tensor& leaf);
  void launch(Bucket& bucket);
  void unpack(Bucket& bucket);

  Communicator& ranks_;
  std::vector<Tensor> parameters_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;
  std::vector<bool> ready_;
  std::unordered_map<const AutogradState*, size_t> index_;
  size_t launched_ = 0;
  bool active_ = false;
};

}  // namespace heed
