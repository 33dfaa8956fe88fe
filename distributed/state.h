// The whole tensors of which ranks hold parts: what a checkpoint holds, so that it can be read
// under any mesh.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "distributed/mesh.h"
#include "nn/module.h"

namespace heed {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// state_dict with whole tensors. Every rank of the axes that share tensors calls it; parts are
/// joined one by one on the first of them, and the others leave them out.
/// Whole tensors share memory with the module.
NamedTensors whole_state(nn::Module& module, Mesh& mesh);

/// The same for what goes with parameters: tensors shaped as a parameter and named as it or
/// "<what>.<parameter>" (an optimiser's moments, averages). Others are left as they are.
NamedTensors whole_state(const NamedTensors& own, nn::Module& module, Mesh& mesh);

/// This rank's parts of such tensors.
NamedTensors own_state(const NamedTensors& whole, nn::Module& module);

}  // namespace heed
