// The NaN watch: finds where a step that gave a loss or gradient that is not finite went wrong.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "nn/module.h"

namespace heed::recipes {

/// Whether every element is finite; true for integers.
bool all_finite(const Tensor& tensor);

/// In one sentence, which of the tensors is not finite already; "" for none.
std::string bad_before_step(const std::vector<std::pair<std::string, Tensor>>& tensors);

/// Runs `step` (a step's forward and backward passes, as they were, with cleared gradients) with
/// the tape watched. Returns what went wrong first, in one sentence: the op whose output or
/// gradient was the first to hold a value that is not finite, and the first parameter (in the
/// module's order) with such a gradient; "" when everything was finite this time. Gradients are
/// cleared in the end.
std::string first_nonfinite(nn::Module& module, const std::function<void()>& step);

/// bad_before_step() of the module's tensors, else first_nonfinite().
std::string explain_nonfinite(nn::Module& module, const std::function<void()>& step);

}  // namespace heed::recipes
