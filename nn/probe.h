// Running one registered module by itself, so that anyone can check it against another framework.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nn/registry.h"

namespace heed::nn {

struct ProbeOptions {
  bool grad = false;   ///< also gradients
  bool train = false;  ///< training mode (dropout); inference otherwise
  uint64_t seed = 1;   ///< of initial values and of random draws
  /// f32; f64 converts the parameters too; bf16 keeps them in f32 and computes in bf16.
  DType dtype = DType::f32;
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Builds the entry's module from `config` and runs it.
///
/// Without inputs: its initial parameters and buffers, under their names (`weights`, when given,
/// are loaded first). With inputs, named as the entry's forward arguments (or `x` for a module with
/// one): the outputs as `out`, or `out.0`, `out.1`, ... when there are several. With `grad` also
/// `grad.<input>` of every floating input and `grad.<parameter>`, of the loss sum(out * cot); the
/// cotangents `cot` (or `cot.0`, ...) come with the inputs, ones where absent; a gradient that
/// nothing reached is zeros. Floating inputs are converted to the dtype asked for. Missing, unknown
/// or misshapen inputs are RequestErrors.
NamedTensors probe(const ModuleEntry& entry, const Config& config, const NamedTensors& weights,
                   const NamedTensors& inputs, const ProbeOptions& options = {});

/// The forward arguments among named tensors, in f32 where they are floating, as probe() reads
/// them.
Inputs probe_inputs(const ModuleEntry& entry, const NamedTensors& given);

}  // namespace heed::nn
