#include "distributed/held_parts.h"

namespace heed {

HeldParts::HeldParts(nn::Module& module) {
  for (const nn::Module::NamedTensor& named : module.named_tensors(false)) {
    if (named.shard != nullptr) shards_[named.tensor->autograd().get()] = named.shard->over;
  }
}

Communicator& HeldParts::holders(const Tensor& parameter, Mesh& mesh) const {
  MeshAxes axes{.pipeline = true, .sequence = true, .tensor = true};
  const auto shard = shards_.find(parameter.autograd().get());
  if (shard != shards_.end()) {
    (shard->second == nn::SharedOver::tensor ? axes.tensor : axes.sequence) = false;
  }
  return mesh.data_and(axes);
}

}  // namespace heed
