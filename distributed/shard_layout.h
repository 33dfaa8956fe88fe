// Which elements of which parameter a rank of the data axis holds (ZeRO: Rajbhandari et al.,
// "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", SC 2020,
// arXiv 1910.02054).
//
// Parameters lie end to end in buckets, last registered first, as the backward pass reaches them. A
// bucket of n elements is cut into chunks of ceil(n / N), one for each of N ranks, wherever the
// cuts fall: every rank holds as much as every other, to within N elements a bucket.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "distributed/mesh.h"

namespace heed {

/// What ranks along the data axis share instead of each holding all of it.
enum class Sharding {
  none,
  optimizer,   ///< the optimiser's moments (ZeRO-1)
  gradients,   ///< and gradients (ZeRO-2)
  parameters,  ///< and parameters (ZeRO-3)
};

/// The names of a recipe's `parallel.shard`, in order.
const std::vector<std::string>& sharding_names();
Sharding sharding_from_name(const std::string& name);

/// Elements [begin, end) of a flattened parameter.
struct ElementRange {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  bool operator==(const ElementRange&) const = default;
};

class ShardLayout {
 public:
  struct Parameter {
    std::string name;
    Tensor tensor;
    /// Axes beside data along which other ranks hold the same parameter.
    MeshAxes copies = {};
    /// Parameters of different units share no bucket: a block whose parameters come and go
    /// together. Buckets are ordered by unit, the highest first.
    int64_t unit = 0;
  };

  struct Bucket {
    std::vector<size_t> parameters;
    std::vector<int64_t> offsets;  ///< of each in the bucket
    int64_t elements = 0;
    int64_t chunk = 0;  ///< elements of a rank; the last ones of the last ranks may be padding
    DType dtype = DType::f32;
    MeshAxes copies = {};
    int64_t unit = 0;
  };

  /// Parameters in order of registration. A bucket takes `bucket_bytes` (a larger parameter is one
  /// of its own), without limit when 0.
  ShardLayout(std::vector<Parameter> parameters, int64_t ranks, int64_t bucket_bytes);

  int64_t ranks() const { return ranks_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  /// Where a bucket's parameters lie.
  Device device_of(const Bucket& bucket) const {
    return parameters_[bucket.parameters.front()].tensor.device();
  }
  size_t bucket_of(size_t parameter) const { return bucket_of_[parameter]; }

  /// What the rank holds of a parameter; empty for nothing.
  ElementRange held(size_t parameter, int64_t rank) const;
  /// Where that begins in the rank's chunk.
  int64_t place_in_chunk(size_t parameter, int64_t rank) const;

 private:
  std::vector<Parameter> parameters_;
  int64_t ranks_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;
  std::vector<int64_t> offset_of_;
};

/// Elements of a tensor's memory as a 1-D view without history.
Tensor flat_range(const Tensor& tensor, ElementRange range);

}  // namespace heed
