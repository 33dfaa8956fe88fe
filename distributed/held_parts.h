// Which ranks hold which parameter. The rule of all gradients: a rank's loss is weighted so that
// the ranks' losses add up to the run's, what they say to each other has its adjoint as its
// gradient, and so a parameter's gradient is the sum over all ranks that hold the same part of it.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "distributed/mesh.h"
#include "nn/module.h"

namespace heed {

class HeldParts {
 public:
  /// Of the module as it is now split.
  explicit HeldParts(nn::Module& module);

  /// The axes beside data along which other ranks hold the same part of this parameter.
  MeshAxes copies(const Tensor& parameter) const;
  /// The ranks that hold the same part of this parameter, along the data axis and those.
  Communicator& holders(const Tensor& parameter, Mesh& mesh) const;

 private:
  std::unordered_map<const AutogradState*, nn::SharedOver> shards_;
  std::unordered_set<const AutogradState*> of_stage_;  // blocks that no other stage has
};

}  // namespace heed
