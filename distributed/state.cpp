#include "distributed/state.h"

#include <map>

#include "kernels/copy/copy.h"

namespace heed {
namespace {

using Shards = std::map<std::string, const nn::Shard*>;

Shards shards_of(nn::Module& module) {
  Shards shards;
  for (const auto& named : module.named_tensors()) {
    if (named.shard != nullptr) shards[named.name] = named.shard;
  }
  return shards;
}

// The shard of the parameter that a tensor goes with; null: the parameter is whole.
const nn::Shard* shard_of_name(const Shards& shards, const std::string& name) {
  auto found = shards.find(name);
  if (found == shards.end()) found = shards.find(name.substr(name.find('.') + 1));
  return found == shards.end() ? nullptr : found->second;
}

// On the first of the ranks; undefined on the others.
Tensor joined(const Tensor& own, const nn::Shard& shard, Mesh& mesh) {
  Communicator& ranks = shard.over == nn::SharedOver::tensor ? mesh.tensor() : mesh.sequence();
  HEED_CHECK(ranks.size() == shard.parts, "state: {} parts of a tensor on {} ranks", shard.parts,
             ranks.size());
  const Tensor dense = kernels::contiguous(own.detach());
  if (ranks.rank() > 0) {
    ranks.send(dense, 0);
    return {};
  }
  std::vector<Tensor> parts = {dense};
  for (int r = 1; r < ranks.size(); ++r) {
    Shape shape = own.shape();
    shape[shard.dim] = shard.part_size(r);
    parts.push_back(Tensor::empty(shape, own.dtype(), own.device()));
    ranks.receive(parts.back(), r);
  }
  return join_shards(parts, shard);
}

}  // namespace

NamedTensors whole_state(nn::Module& module, Mesh& mesh) {
  return whole_state(nn::state_dict(module), module, mesh);
}

NamedTensors whole_state(const NamedTensors& own, nn::Module& module, Mesh& mesh) {
  const Shards shards = shards_of(module);
  NamedTensors whole;
  for (const auto& [name, tensor] : own) {
    const nn::Shard* shard = shard_of_name(shards, name);
    const Tensor all = shard == nullptr ? tensor : joined(tensor, *shard, mesh);
    if (all.defined()) whole.emplace_back(name, all);
  }
  return whole;
}

NamedTensors own_state(const NamedTensors& whole, nn::Module& module) {
  const Shards shards = shards_of(module);
  NamedTensors own;
  for (const auto& [name, tensor] : whole) {
    const nn::Shard* shard = shard_of_name(shards, name);
    const bool fits = shard != nullptr && tensor.rank() > shard->dim &&
                      tensor.size(shard->dim) == shard->whole_size();
    own.emplace_back(name, fits ? shard_of(tensor, *shard) : tensor);
  }
  return own;
}

}  // namespace heed
