// What the tests of modules share: random tensors, gradients of a whole module, distances.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "autograd/gradcheck.h"
#include "core/random.h"
#include "core/views.h"
#include "nn/attention/mechanism.h"
#include "nn/registry.h"

namespace heed::nn::testing {

/// Standard normal draws named by `name`.
inline Tensor random_tensor(const Shape& shape, const std::string& name, DType dtype = DType::f32) {
  const RandomStream stream(RandomKey{99, hash_name(name), 0});
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(stream.normal(i));
  if (dtype == DType::f64) return Tensor::from(values, shape);
  return Tensor::from(std::vector<float>(values.begin(), values.end()), shape);
}

/// Ids in [0, vocab) named by `name`.
inline Tensor random_ids(const Shape& shape, int64_t vocab, const std::string& name) {
  const RandomStream stream(RandomKey{98, hash_name(name), 0});
  std::vector<int64_t> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int64_t>(stream.below(i, static_cast<uint64_t>(vocab)));
  }
  return Tensor::from(values, shape);
}

/// Gives every parameter of a module random values: initial ones and zeros hide mistakes.
inline void randomise(Module& module) {
  for (const Module::NamedTensor& p : module.named_parameters()) {
    const Tensor values = random_tensor(p.tensor->shape(), p.name, p.tensor->dtype());
    Tensor fresh = p.tensor->dtype() == DType::f64 ? values : values.detach();
    *p.tensor = require_grad(fresh);
  }
}

/// gradcheck over a module's parameters and the floating ones among its inputs, in f64. Returns ""
/// or what disagrees.
inline std::string gradcheck_module(const std::string& name, const std::string& kind,
                                    const Config& config, const Inputs& inputs,
                                    bool train = false) {
  const ModuleEntry& entry = find_module(name, kind);
  const std::unique_ptr<Module> module = entry.make(config);
  module->initialise(5);
  module->convert(DType::f64);
  module->train(train);
  randomise(*module);

  std::vector<Tensor> leaves;
  std::vector<std::string> names;
  for (const auto& [input, tensor] : inputs) {
    if (!is_floating(tensor.dtype())) continue;
    leaves.push_back(tensor);
    names.push_back(input);
  }
  const std::vector<Module::NamedTensor> parameters = module->named_parameters();
  for (const Module::NamedTensor& p : parameters) {
    leaves.push_back(*p.tensor);
    names.push_back(p.name);
  }
  const std::string message = gradcheck(
      [&](const std::vector<Tensor>& now) {
        Inputs arguments = inputs;
        size_t i = 0;
        for (auto& [input, tensor] : arguments) {
          if (is_floating(tensor.dtype())) tensor = now[i++];
        }
        for (const Module::NamedTensor& p : parameters) *p.tensor = now[i++];
        return entry.forward(*module, arguments);
      },
      leaves);
  return message.empty() ? ""
                         : message + " (inputs: " + fmt::format("{}", fmt::join(names, ", ")) + ")";
}

/// Largest |a - b| over largest |b|.
inline double relative_distance(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  if (a.shape() != b.shape()) return INFINITY;
  double difference = 0.0, scale = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || std::isnan(y[i])) return INFINITY;
    difference = std::max(difference, std::abs(x[i] - y[i]));
    scale = std::max(scale, std::abs(y[i]));
  }
  return scale == 0.0 ? difference : difference / scale;
}

inline bool bitwise_equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         a.to_vector<double>() == b.to_vector<double>();
}

/// The largest relative distance between a pass over x [B, N, C] and the same in `steps`, of so
/// many tokens, with a cache.
inline double decoding_distance(AttentionMechanism& mechanism, const Tensor& x,
                                const std::vector<int64_t>& steps, KvCache& cache) {
  const NoGrad none;
  const Tensor whole = mechanism.forward(x);
  double largest = 0.0;
  int64_t done = 0;
  for (const int64_t tokens : steps) {
    const Tensor part =
        mechanism.forward(views::slice(x, 1, done, done + tokens), {.cache = &cache});
    cache.advance(tokens);
    largest =
        std::max(largest, relative_distance(part, views::slice(whole, 1, done, done + tokens)));
    done += tokens;
  }
  return done == x.size(1) ? largest : INFINITY;
}

}  // namespace heed::nn::testing
