// The part of a parameter that a module holds where ranks share it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace heed::nn {

/// Which ranks of the mesh hold the other parts.
enum class SharedOver { tensor, sequence };

/// Dimension `dim` of the whole tensor consists of groups, each of which is cut into `parts`
/// pieces, equal ones or such that differ by one; a part holds its piece of every group. Heads of a
/// packed projection of queries, keys and values: three groups.
struct Shard {
  int dim = 0;
  std::vector<int64_t> groups = {};  ///< sizes along dim in the whole tensor
  int64_t part = 0;
  int64_t parts = 1;
  SharedOver over = SharedOver::tensor;

  int64_t whole_size() const;
  /// Of a part, along dim.
  int64_t part_size(int64_t which) const;
  Shape whole_shape(const Shape& part_shape) const;
};

/// The part's own copy of its pieces.
Tensor shard_of(const Tensor& whole, const Shard& shard);
/// The whole tensor of all parts, in order.
Tensor join_shards(const std::vector<Tensor>& parts, const Shard& shard);

}  // namespace heed::nn
