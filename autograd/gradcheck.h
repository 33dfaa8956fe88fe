// Gradients against central differences, in f64.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "autograd/tape.h"

namespace heed {

struct GradcheckOptions {
  double step = 1e-6;
  double absolute = 1e-6;  ///< |analytic - numeric| <= absolute + relative * |numeric|
  double relative = 1e-5;
  uint64_t seed = 1;  ///< of the random cotangents
};

/// Compares the tape's gradients of sum_i <fn(inputs)[i], random cotangent_i> with central
/// differences, for every element of every floating input. Inputs must be f64. Returns "" when they
/// agree, else a message naming input, element and both values.
std::string gradcheck(const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& fn,
                      const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});
/// The same for one output.
std::string gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                      const std::vector<Tensor>& inputs, const GradcheckOptions& options = {});

}  // namespace heed
