// Parameters whose optimiser, and whose memory if wanted, the ranks along the data axis share:
//
//   ShardedParameters sharded(Sharding::gradients, parameters, mesh, gathers);
//   ShardedReducer reducer(sharded.layout(), mesh);
//   ... backward pass; the optimiser moves sharded.shares() by reducer.take() ...
//   sharded.gather();      // every rank has every new value
//
// Under Sharding::parameters a rank keeps its shares alone. The memory of a unit's parameters is
// there from require() to release(); tensors that the tape keeps of them meanwhile stay valid,
// since the same values come back.
#pragma once

#include <vector>

#include "distributed/shard_layout.h"

namespace heed {

class ShardedParameters {
 public:
  /// `gathers` has the ranks of mesh.data() and is for nothing else; both outlive this. Starts from
  /// the parameters' present values. Under Sharding::parameters their memory is given back then.
  ShardedParameters(Sharding sharding, std::vector<ShardLayout::Parameter> parameters, Mesh& mesh,
                    Communicator& gathers, int64_t bucket_bytes = int64_t{8} << 20);
  ShardedParameters(const ShardedParameters&) = delete;
  ShardedParameters& operator=(const ShardedParameters&) = delete;
  ~ShardedParameters();

  Sharding sharding() const { return sharding_; }
  const ShardLayout& layout() const { return layout_; }
  /// What this rank holds of each parameter: 1-D, a leaf that wants a gradient; undefined for
  /// nothing.
  const std::vector<Tensor>& shares() const { return shares_; }
  /// The elements that a share is.
  ElementRange held(size_t parameter) const { return layout_.held(parameter, rank_); }

  /// Every parameter := all ranks' shares of it. Under Sharding::parameters all stay whole until
  /// release(). Every rank calls it.
  void gather();
  /// Under Sharding::parameters: gives the whole parameters' memory back. Nothing else otherwise.
  void release();

  /// Sharding::parameters, on every rank in the same order: a unit's parameters are whole when it
  /// returns. One that is there already costs nothing.
  void require(int64_t unit);
  /// Starts to fetch what require() will want.
  void prefetch(int64_t unit);
  /// Gives the memory of the unit's parameters back, unless gather() made them whole.
  void release(int64_t unit);

 private:
  struct Fetch {
    Tensor flat;  // [ranks, chunk]
    Work work;
    bool under_way = false;
  };

  void start(size_t bucket);
  void finish(size_t bucket);
  bool keeps_shares_alone() const { return sharding_ == Sharding::parameters; }

  Sharding sharding_;
  ShardLayout layout_;
  int64_t rank_;
  Communicator& gathers_;
  std::vector<Tensor> chunks_;  // of the buckets, under Sharding::parameters
  std::vector<Tensor> shares_;
  std::vector<Fetch> fetches_;  // of the buckets
  std::vector<bool> whole_;     // buckets
  bool all_stay_ = false;       // since gather()
};

}  // namespace heed
