// From what each rank holds of a state to whole tensors, each on the rank that writes it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "distributed/shard_layout.h"

namespace heed {

/// A tensor of a state as this rank has it.
struct HeldTensor {
  std::string name;
  Tensor tensor;  ///< all of it; this rank's share, 1-D, where there are `shares`
  Shape shape;    ///< of all of it
  DType dtype = DType::f32;
  std::vector<ElementRange> shares = {};  ///< of each rank; none: every rank has all of it

  int64_t bytes() const { return shape.numel() * static_cast<int64_t>(size_of(dtype)); }
};

/// One that every rank has.
HeldTensor held_by_all(const std::string& name, const Tensor& tensor);

/// A rank for each tensor, such that their bytes are as even as whole tensors allow. The same on
/// every rank.
std::vector<int> share_out(const std::vector<HeldTensor>& state, int ranks);

/// The tensors whose owner this rank is, whole. Every rank calls it with the same names, shapes and
/// owners; shares go straight from rank to rank.
std::vector<std::pair<std::string, Tensor>> collect(const std::vector<HeldTensor>& state,
                                                    const std::vector<int>& owners,
                                                    Communicator& ranks);

}  // namespace heed
