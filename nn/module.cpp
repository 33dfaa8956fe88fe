#include "nn/module.h"

#include <algorithm>
#include <map>
#include <set>

#include "kernels/copy/copy.h"

namespace heed::nn {
namespace {

std::string join(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

// Whether every value of `from` is a value of `to`.
bool converts_exactly(DType from, DType to) {
  if (from == to || to == DType::f64) return true;
  return to == DType::f32 && (from == DType::bf16 || from == DType::f16);
}

}  // namespace

void Module::parameters(std::initializer_list<ParameterEntry> entries) {
  for (const ParameterEntry& entry : entries) {
    require_grad(entry.tensor);
    tensors_.push_back({entry.name, &entry.tensor, true, entry.init});
  }
}

void Module::buffers(std::initializer_list<std::pair<const char*, Tensor&>> entries) {
  for (const auto& [name, tensor] : entries) tensors_.push_back({name, &tensor, false, {}});
}

void Module::keep_shard(Tensor& member, const Shard& shard) {
  const auto own = std::find_if(tensors_.begin(), tensors_.end(),
                                [&](const Own& entry) { return entry.tensor == &member; });
  HEED_CHECK(own != tensors_.end() && !own->shard, "keep_shard: no whole tensor of this module");
  member = shard_of(member, shard);
  own->shard = std::make_shared<const Shard>(shard);
  if (own->trained && !own->frozen) require_grad(member);
}

void Module::split_tokens(std::shared_ptr<const TokenSplit> split) {
  visit("", [&](const std::string&, Module& module) { module.token_split_ = split; });
}

void Module::children(std::initializer_list<ChildEntry> entries) {
  for (const ChildEntry& entry : entries) child(entry.name, entry.module);
}

void Module::child(const std::string& name, Module& module) {
  HEED_CHECK(&module != this, "a module was registered under itself as '{}'", name);
  for (const auto& [taken, other] : children_) {
    HEED_CHECK(taken != name, "two sub-modules are named '{}'", name);
  }
  children_.emplace_back(name, &module);
}

void Module::visit(const std::string& prefix,
                   const std::function<void(const std::string& path, Module& module)>& fn) {
  fn(prefix, *this);
  for (const auto& [name, module] : children_) module->visit(join(prefix, name), fn);
}

std::vector<Module::NamedTensor> Module::named_tensors(bool with_buffers) {
  std::vector<NamedTensor> result;
  // The memory itself may be away for now (core/storage_memory.h).
  std::set<std::pair<const Storage*, int64_t>> seen;
  visit("", [&](const std::string& path, Module& module) {
    for (Own& own : module.tensors_) {
      if (!own.trained && !with_buffers) continue;
      if (!own.tensor->defined()) continue;  // an optional one that this module goes without
      if (!seen.insert({own.tensor->storage().get(), own.tensor->offset()}).second) continue;
      result.push_back(
          {join(path, own.name), own.tensor, own.trained, &own.init, own.frozen, own.shard.get()});
    }
  });
  return result;
}

std::vector<Module::NamedTensor> Module::named_parameters() {
  std::vector<NamedTensor> result = named_tensors(false);
  std::erase_if(result, [](const NamedTensor& parameter) { return parameter.frozen; });
  return result;
}

std::vector<std::pair<std::string, Module*>> Module::named_modules() {
  std::vector<std::pair<std::string, Module*>> result;
  visit("", [&](const std::string& path, Module& module) { result.emplace_back(path, &module); });
  return result;
}

int64_t Module::parameter_count() {
  int64_t count = 0;
  for (const NamedTensor& parameter : named_tensors(false)) {
    const Shape& own = parameter.tensor->shape();
    count += (parameter.shard != nullptr ? parameter.shard->whole_shape(own) : own).numel();
  }
  return count;
}

void Module::freeze(bool on) {
  visit("", [on](const std::string&, Module& module) {
    for (Own& own : module.tensors_) {
      if (!own.trained || !own.tensor->defined()) continue;
      own.frozen = on;
      require_grad(*own.tensor, !on);
      if (on) clear_grad(*own.tensor);
    }
  });
}

void Module::let_go() {
  visit("", [](const std::string&, Module& module) {
    for (Own& own : module.tensors_) *own.tensor = Tensor();
  });
}

void Module::assign_paths() {
  visit("", [](const std::string& path, Module& module) {
    module.path_ = path;
    module.purpose_ = hash_name(path);
  });
}

void Module::initialise(uint64_t seed) {
  assign_paths();
  for (const NamedTensor& parameter : named_tensors(false)) {
    HEED_CHECK(*parameter.init, "initialise: the parameter '{}' has no initial value",
               parameter.name);
    (*parameter.init)(*parameter.tensor, {seed, hash_name("init/" + parameter.name), 0});
  }
}

void Module::train(bool on) {
  visit("", [on](const std::string&, Module& module) { module.training_ = on; });
}

void Module::compute_in(DType dtype) {
  HEED_CHECK(is_floating(dtype) && dtype != DType::f16,
             "a module computes in f32, bf16 or f64, not {}", name_of(dtype));
  visit("", [dtype](const std::string&, Module& module) { module.compute_dtype_ = dtype; });
}

void Module::convert(DType dtype) {
  HEED_CHECK(dtype == DType::f32 || dtype == DType::f64,
             "parameters are kept in f32 or f64, not {}", name_of(dtype));
  std::map<const void*, Tensor> converted;
  std::vector<Tensor> originals;  // kept alive, so that no new tensor takes an old one's address
  visit("", [&](const std::string&, Module& module) {
    for (Own& own : module.tensors_) {
      Tensor& tensor = *own.tensor;
      if (!tensor.defined() || !is_floating(tensor.dtype()) || tensor.dtype() == dtype) continue;
      const auto [it, fresh] = converted.try_emplace(tensor.raw());
      if (fresh) {
        it->second = kernels::contiguous_as(tensor.detach(), dtype);
        if (own.trained && !own.frozen) require_grad(it->second);
      }
      originals.push_back(tensor);
      tensor = it->second;
    }
  });
  compute_in(dtype);
}

void Module::to(Device device) {
  visit("", [device](const std::string&, Module& module) {
    for (const Own& own : module.tensors_) {
      if (!own.tensor->defined() || own.tensor->device() == device) continue;
      own.tensor->storage()->move_to(device);
      clear_grad(*own.tensor);
    }
  });
}

std::vector<std::pair<std::string, Tensor>> trained_tensors(Module& module) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& named : module.named_parameters()) {
    tensors.emplace_back(named.name, *named.tensor);
  }
  return tensors;
}

std::vector<std::pair<std::string, Tensor>> state_dict(Module& module) {
  std::vector<std::pair<std::string, Tensor>> state;
  for (const Module::NamedTensor& entry : module.named_tensors()) {
    state.emplace_back(entry.name, entry.tensor->detach());
  }
  return state;
}

std::vector<std::string> load_state_dict(Module& module,
                                         const std::vector<std::pair<std::string, Tensor>>& state) {
  std::map<std::string, Tensor> given(state.begin(), state.end());
  const std::vector<Module::NamedTensor> wanted = module.named_tensors();
  std::vector<std::string> missing, unexpected, problems, notes;
  std::set<std::string> known;
  for (const Module::NamedTensor& entry : wanted) {
    known.insert(entry.name);
    const auto it = given.find(entry.name);
    if (it == given.end()) {
      missing.push_back(entry.name);
      continue;
    }
    const Tensor& value = it->second;
    const Shape shape = entry.shard != nullptr ? entry.shard->whole_shape(entry.tensor->shape())
                                               : entry.tensor->shape();
    if (value.shape() != shape) {
      problems.push_back(
          fmt::format("'{}' has shape {}, the module wants {}", entry.name, value.shape(), shape));
    } else if (value.dtype() != entry.tensor->dtype() &&
               !(is_floating(value.dtype()) && is_floating(entry.tensor->dtype()))) {
      problems.push_back(fmt::format("'{}' holds {}, the module wants {}", entry.name,
                                     name_of(value.dtype()), name_of(entry.tensor->dtype())));
    } else if (!converts_exactly(value.dtype(), entry.tensor->dtype())) {
      notes.push_back(fmt::format("{}: {} rounded to {}", entry.name, name_of(value.dtype()),
                                  name_of(entry.tensor->dtype())));
    }
  }
  for (const auto& [name, tensor] : given) {
    if (!known.contains(name)) unexpected.push_back(name);
  }
  for (const std::string& name : unexpected) {
    problems.push_back("'" + name + "' is unexpected" + did_you_mean(name, missing));
  }
  for (const std::string& name : missing) problems.push_back("'" + name + "' is missing");
  if (!problems.empty()) {
    std::string message = fmt::format("the weights do not fit the module ({} of {} names agree):",
                                      wanted.size() - missing.size(), wanted.size());
    for (const std::string& problem : problems) message += "\n  " + problem;
    throw RequestError(message);
  }
  for (const Module::NamedTensor& entry : wanted) {
    const Tensor& value = given.at(entry.name);
    kernels::copy(entry.shard != nullptr ? shard_of(value, *entry.shard) : value, *entry.tensor);
  }
  module.assign_paths();
  return notes;
}

}  // namespace heed::nn
