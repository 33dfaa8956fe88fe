#include "recipes/engine/held_state.h"

#include <map>

namespace heed::recipes {
namespace {

std::map<const AutogradState*, size_t> index_of(const ShardedParameters& sharded) {
  std::map<const AutogradState*, size_t> index;
  const auto& parameters = sharded.layout().parameters();
  for (size_t i = 0; i < parameters.size(); ++i) index[parameters[i].tensor.autograd().get()] = i;
  return index;
}

// Parameter i's state of that name and dtype, of which this rank has `tensor` (or nothing).
HeldTensor held_share(const ShardedParameters& sharded, size_t i, const std::string& name,
                      const Tensor& tensor, DType dtype) {
  const ShardLayout& layout = sharded.layout();
  HeldTensor held{.name = name,
                  .tensor = tensor,
                  .shape = layout.parameters()[i].tensor.shape(),
                  .dtype = dtype};
  for (int64_t rank = 0; rank < layout.ranks(); ++rank) held.shares.push_back(layout.held(i, rank));
  return held;
}

// Of moments and averages.
DType state_dtype(const Tensor& parameter) {
  return parameter.dtype() == DType::f64 ? DType::f64 : DType::f32;
}

// What this rank holds of the state `prefix + parameter's name` for each prefix, and whatever else
// there is.
std::vector<HeldTensor> held(const NamedTensors& own, const std::vector<std::string>& prefixes,
                             const ShardedParameters* sharded) {
  std::vector<HeldTensor> all;
  std::map<std::string, Tensor> by_name(own.begin(), own.end());
  if (sharded != nullptr) {
    const auto& parameters = sharded->layout().parameters();
    for (const std::string& prefix : prefixes) {
      for (size_t i = 0; i < parameters.size(); ++i) {
        const std::string name = prefix + parameters[i].name;
        const auto found = by_name.find(name);
        const Tensor tensor = found == by_name.end() ? Tensor() : found->second;
        all.push_back(held_share(*sharded, i, name, tensor, state_dtype(parameters[i].tensor)));
        by_name.erase(name);
      }
    }
  }
  for (const auto& [name, tensor] : own) {
    if (by_name.contains(name)) all.push_back(held_by_all(name, tensor));
  }
  return all;
}

// Shares in place of whole tensors; those that do not fit stay, for load_state() to complain of.
NamedTensors shares(const NamedTensors& whole, const std::vector<std::string>& prefixes,
                    const ShardedParameters* sharded) {
  if (sharded == nullptr) return whole;
  const auto& parameters = sharded->layout().parameters();
  std::map<std::string, size_t> index;
  for (const std::string& prefix : prefixes) {
    for (size_t i = 0; i < parameters.size(); ++i) index[prefix + parameters[i].name] = i;
  }
  NamedTensors own;
  for (const auto& [name, tensor] : whole) {
    const auto found = index.find(name);
    if (found == index.end() || tensor.shape() != parameters[found->second].tensor.shape()) {
      own.emplace_back(name, tensor);
    } else if (const Tensor& share = sharded->shares()[found->second]; share.defined()) {
      own.emplace_back(name, flat_range(tensor, sharded->held(found->second)));
    }
  }
  return own;
}

std::vector<std::string> prefixes_of(const optim::Optimizer& optimizer) {
  std::vector<std::string> prefixes;
  for (const std::string& name : optimizer.state_names()) prefixes.push_back(name + ".");
  return prefixes;
}

}  // namespace

std::vector<optim::Parameter> shares_of(const std::vector<optim::Parameter>& whole,
                                        const ShardedParameters& sharded) {
  std::vector<optim::Parameter> own;
  for (size_t i = 0; i < whole.size(); ++i) {
    if (!sharded.shares()[i].defined()) continue;
    own.push_back(whole[i]);
    own.back().tensor = sharded.shares()[i];
  }
  return own;
}

NamedTensors shares_of_trained(nn::Module& module, const ShardedParameters* sharded) {
  NamedTensors whole = nn::trained_tensors(module);
  if (sharded == nullptr) return whole;
  const auto index = index_of(*sharded);
  NamedTensors own;
  for (const auto& [name, tensor] : whole) {
    const auto found = index.find(tensor.autograd().get());
    if (found == index.end()) {
      own.emplace_back(name, tensor);
    } else if (const Tensor& share = sharded->shares()[found->second]; share.defined()) {
      own.emplace_back(name, share);
    }
  }
  return own;
}

std::vector<HeldTensor> held_model(nn::Module& module, const ShardedParameters* sharded) {
  std::vector<HeldTensor> all;
  const bool shared = sharded != nullptr && sharded->sharding() == Sharding::parameters;
  const auto index = shared ? index_of(*sharded) : std::map<const AutogradState*, size_t>();
  for (const nn::Module::NamedTensor& named : module.named_tensors()) {
    const auto found = index.find(named.tensor->autograd().get());
    if (found == index.end()) {
      all.push_back(held_by_all(named.name, named.tensor->detach()));
    } else {
      all.push_back(held_share(*sharded, found->second, named.name,
                               sharded->shares()[found->second], named.tensor->dtype()));
    }
  }
  return all;
}

std::vector<HeldTensor> held_optimizer(const optim::Optimizer& optimizer,
                                       const ShardedParameters* sharded) {
  return held(optimizer.state_tensors(), prefixes_of(optimizer), sharded);
}

std::vector<HeldTensor> held_ema(const optim::Ema& ema, const ShardedParameters* sharded) {
  return held(ema.state_tensors(), {""}, sharded);
}

NamedTensors optimizer_shares(const NamedTensors& whole, const optim::Optimizer& optimizer,
                              const ShardedParameters* sharded) {
  return shares(whole, prefixes_of(optimizer), sharded);
}

NamedTensors ema_shares(const NamedTensors& whole, const ShardedParameters* sharded) {
  return shares(whole, {""}, sharded);
}

}  // namespace heed::recipes
