// Blocks whose parameters come before their use and go after it (ZeRO-3; PyTorch's FSDP: Zhao et
// al., arXiv 2304.11277): gathered for the forward pass and again for the backward pass, the next
// block's while one computes.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "distributed/sharded_parameters.h"
#include "nn/module.h"

namespace heed {

/// Unit of a parameter (ShardLayout::Parameter::unit): 1 and up for the blocks of the module's
/// stacks, in their order; 0 for everything else and for what several blocks share, which is whole
/// throughout a step.
class BlockUnits {
 public:
  explicit BlockUnits(nn::Module& module);
  int64_t count() const { return count_; }
  int64_t of(const Tensor& parameter) const;

 private:
  std::unordered_map<const AutogradState*, int64_t> units_;
  int64_t count_ = 0;
};

/// Lets the blocks of the module's stacks require and release their units. `parameters` outlives
/// the module's forward and backward passes.
void gather_blocks_on_use(nn::Module& module, ShardedParameters& parameters);

}  // namespace heed
