#include "distributed/held_parts.h"

#include "nn/models/block_stack.h"

namespace heed {

HeldParts::HeldParts(nn::Module& module) {
  for (const nn::Module::NamedTensor& named : module.named_tensors(false)) {
    if (named.shard != nullptr) shards_[named.tensor->autograd().get()] = named.shard->over;
  }
  for (const auto& [path, part] : module.named_modules()) {
    auto* stack = dynamic_cast<nn::BlockStackBase*>(part);
    if (stack == nullptr || stack->stage() == nullptr) continue;
    for (const nn::Module::NamedTensor& named : stack->named_tensors(false)) {
      of_stage_.insert(named.tensor->autograd().get());
    }
  }
}

MeshAxes HeldParts::copies(const Tensor& parameter) const {
  const AutogradState* key = parameter.autograd().get();
  MeshAxes axes{.pipeline = !of_stage_.contains(key), .sequence = true, .tensor = true};
  const auto shard = shards_.find(key);
  if (shard != shards_.end()) {
    (shard->second == nn::SharedOver::tensor ? axes.tensor : axes.sequence) = false;
  }
  return axes;
}

Communicator& HeldParts::holders(const Tensor& parameter, Mesh& mesh) const {
  return mesh.data_and(copies(parameter));
}

}  // namespace heed
