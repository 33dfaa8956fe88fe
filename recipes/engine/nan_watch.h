// The NaN watch: finds where a step that gave a loss or gradient that is not finite went wrong.
#pragma once

#include <functional>
#include <string>

#include "core/tensor.h"
#include "nn/module.h"

namespace heed::recipes {

/// Whether every element is finite; true for integers.
bool all_finite(const Tensor& tensor);

/// Runs `step` (a step's forward and backward passes, as they were, with cleared gradients) with
/// the tape watched. Returns what went wrong first, in one sentence: the parameter that was bad
/// before, else the op whose output or gradient was the first to hold a value that is not finite,
/// and the first parameter (in the module's order) with such a gradient; "" when everything was
/// finite this time. Gradients are cleared in the end.
std::string explain_nonfinite(nn::Module& module, const std::function<void()>& step);

}  // namespace heed::recipes
