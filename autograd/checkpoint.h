// Activation checkpointing (Chen et al. 2016): run a function without keeping what its backward
// pass would need, and run it again when that pass arrives.
#pragma once

#include <functional>
#include <vector>

#include "autograd/tape.h"

namespace heed {

/// fn(inputs), recomputed in the backward pass. Random draws repeat themselves (they are keyed, not
/// sequential); the run's step and micro-step at the time of the forward pass are restored.
/// Gradients reach `inputs` and every leaf (parameter) that fn uses by itself.
Tensor checkpoint(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                  const std::vector<Tensor>& inputs);
/// The same for a function with several outputs.
std::vector<Tensor> checkpoint_many(
    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& fn,
    const std::vector<Tensor>& inputs);

/// True while a checkpointed function runs for the second time: buffers must not be updated again.
bool recomputing();

}  // namespace heed
