// Data parallelism: gradients are summed over ranks while the backward pass goes on.
//
// Parameters are packed into buckets, last registered first, as the backward pass reaches them.
// When all gradients of a bucket are final it goes out, and the pass goes on beside it (Li et al.,
// "PyTorch Distributed", VLDB 2020). A parameter's gradient is summed over the ranks that hold it,
// which need not be the same for all (a shard's are fewer). Buckets go out in their order on every
// rank, so that ranks whose passes differ (a parameter that one of them does not use) still meet.
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

  struct Parameter {
    Tensor tensor;
    Communicator* ranks;  ///< that hold it; outlives the reducer
  };

  /// Parameters in order of registration; the same on every rank that holds them.
  GradientReducer(std::vector<Parameter> parameters, Options options);
  explicit GradientReducer(std::vector<Parameter> parameters)
      : GradientReducer(std::move(parameters), Options()) {}
  /// All of them held by the same ranks.
  GradientReducer(Communicator& ranks, const std::vector<Tensor>& parameters, Options options);
  GradientReducer(Communicator& ranks, const std::vector<Tensor>& parameters)
      : GradientReducer(ranks, parameters, Options()) {}
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
    Communicator* ranks = nullptr;
    std::vector<size_t> parameters;
    int64_t elements = 0;
    size_t waiting = 0;  // gradients that are not final yet
    Tensor flat;         // [elements + parameters], the last ones count the ranks with a gradient
    Work work;
  };

  void ready(const Tensor& leaf);
  void launch(Bucket& bucket);
  void unpack(Bucket& bucket);

  std::vector<Parameter> parameters_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;
  std::vector<bool> ready_;
  std::unordered_map<const AutogradState*, size_t> index_;
  size_t launched_ = 0;
  bool active_ = false;
};

}  // namespace heed
