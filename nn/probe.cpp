#include "nn/probe.h"

#include <algorithm>

#include "kernels/copy/copy.h"

namespace heed::nn {
namespace {

// The run's randomness for as long as a probe takes.
class ScopedRandomness {
 public:
  explicit ScopedRandomness(uint64_t seed) : previous_(random_context()) {
    random_context() = {.seed = seed};
  }
  ~ScopedRandomness() { random_context() = previous_; }
  ScopedRandomness(const ScopedRandomness&) = delete;
  ScopedRandomness& operator=(const ScopedRandomness&) = delete;

 private:
  RandomContext previous_;
};

struct Argument {
  std::string name;
  bool optional;
};

std::vector<Argument> arguments_of(const ModuleEntry& entry) {
  std::vector<Argument> arguments;
  for (const std::string& input : entry.inputs) {
    const bool optional = input.ends_with('?');
    arguments.push_back({input.substr(0, input.size() - (optional ? 1 : 0)), optional});
  }
  return arguments;
}

bool is_cotangent(const std::string& name) { return name == "cot" || name.starts_with("cot."); }

// The forward arguments among the given tensors, copied into the dtype and wanting gradients where
// asked; the caller's tensors stay as they are.
Inputs read_inputs(const ModuleEntry& entry, const NamedTensors& given,
                   const ProbeOptions& options) {
  const std::vector<Argument> arguments = arguments_of(entry);
  std::vector<std::string> names;
  for (const Argument& argument : arguments) names.push_back(argument.name);
  Inputs inputs;
  for (const auto& [given_name, tensor] : given) {
    if (is_cotangent(given_name)) continue;
    const bool alone = given_name == "x" && names.size() == 1;
    const std::string name = alone ? names[0] : given_name;
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      fail_request("probe {}: unknown input '{}'{}; it takes {}", entry.name, name,
                   did_you_mean(name, names), fmt::join(names, ", "));
    }
    Tensor value = tensor.detach();
    if (is_floating(value.dtype())) {
      value = kernels::contiguous_as(value, options.dtype).detach();
      if (options.grad) require_grad(value);
    }
    inputs[name] = value;
  }
  for (const Argument& argument : arguments) {
    if (!argument.optional && !inputs.contains(argument.name)) {
      fail_request("probe {}: the input '{}' is missing; it takes {}", entry.name, argument.name,
                   fmt::join(names, ", "));
    }
  }
  return inputs;
}

std::string output_name(const char* stem, size_t i, size_t count) {
  return count == 1 ? stem : fmt::format("{}.{}", stem, i);
}

std::vector<Tensor> read_cotangents(const ModuleEntry& entry, const NamedTensors& given,
                                    const std::vector<Tensor>& outputs) {
  std::vector<Tensor> cotangents;
  std::vector<std::string> names;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& out = outputs[i];
    names.push_back(output_name("cot", i, outputs.size()));
    const auto it = std::find_if(given.begin(), given.end(),
                                 [&](const auto& entry_of) { return entry_of.first == names[i]; });
    if (it == given.end()) {
      cotangents.push_back(Tensor::full(out.shape(), 1.0, out.dtype()));
      continue;
    }
    if (it->second.shape() != out.shape()) {
      fail_request("probe {}: '{}' has shape {}, the output {}", entry.name, it->first,
                   it->second.shape(), out.shape());
    }
    cotangents.push_back(kernels::contiguous_as(it->second.detach(), out.dtype()));
  }
  for (const auto& [name, tensor] : given) {
    if (is_cotangent(name) && std::find(names.begin(), names.end(), name) == names.end()) {
      fail_request("probe {}: '{}' belongs to no output; there are {}", entry.name, name,
                   fmt::join(names, ", "));
    }
  }
  return cotangents;
}

void backward_through(const std::vector<Tensor>& outputs, const std::vector<Tensor>& cotangents) {
  std::vector<Tensor> roots, seeds;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!requires_grad(outputs[i])) continue;
    roots.push_back(outputs[i]);
    seeds.push_back(cotangents[i]);
  }
  backward(roots, seeds);
}

Tensor gradient_or_zeros(const Tensor& leaf) {
  const Tensor gradient = grad(leaf);
  return gradient.defined() ? gradient : Tensor::zeros(leaf.shape(), leaf.dtype());
}

}  // namespace

Inputs probe_inputs(const ModuleEntry& entry, const NamedTensors& given) {
  return read_inputs(entry, given, {});
}

NamedTensors probe(const ModuleEntry& entry, const Config& config, const NamedTensors& weights,
                   const NamedTensors& inputs, const ProbeOptions& options) {
  if (options.dtype != DType::f32 && options.dtype != DType::f64 && options.dtype != DType::bf16) {
    fail_request("probe: computes in f32, f64 or bf16, not {}", name_of(options.dtype));
  }
  const ScopedRandomness randomness(options.seed);
  const std::unique_ptr<Module> module = entry.make(config);
  module->initialise(options.seed);
  if (options.dtype == DType::f64) module->convert(DType::f64);
  if (!weights.empty()) load_state_dict(*module, weights);
  if (inputs.empty()) return state_dict(*module);
  module->train(options.train);
  module->compute_in(options.dtype);

  const Inputs arguments = read_inputs(entry, inputs, options);
  const bool grads = options.grad;
  const std::vector<Tensor> outputs = [&] {
    if (grads) return entry.forward(*module, arguments);
    const NoGrad no_grad;
    return entry.forward(*module, arguments);
  }();
  NamedTensors results;
  for (size_t i = 0; i < outputs.size(); ++i) {
    results.emplace_back(output_name("out", i, outputs.size()), outputs[i].detach());
  }
  const std::vector<Tensor> cotangents = read_cotangents(entry, inputs, outputs);
  if (!grads) return results;

  backward_through(outputs, cotangents);
  for (const auto& [name, tensor] : arguments) {
    if (requires_grad(tensor)) results.emplace_back("grad." + name, gradient_or_zeros(tensor));
  }
  for (const Module::NamedTensor& parameter : module->named_parameters()) {
    results.emplace_back("grad." + parameter.name, gradient_or_zeros(*parameter.tensor));
  }
  return results;
}

}  // namespace heed::nn
