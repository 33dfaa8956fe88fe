// Clipping of gradients by their global norm (Pascanu et al. 2013), by value, and unit by unit.
#pragma once

#include <vector>

#include "optim/optimizer.h"

namespace heed::optim {

/// Norm of all gradients together; parameters without one count nothing. Not finite when an element
/// is not.
double grad_norm(const std::vector<Parameter>& parameters);

/// What to multiply gradients of this norm by so that it is at most `max_norm`: PyTorch's
/// min(1, max_norm / (norm + 1e-6)); 1 when max_norm is 0 (no clipping). Goes to Optimizer::step,
/// which folds it into its pass.
double clip_scale(double norm, double max_norm);

/// Bounds every gradient element to [-limit, limit] in place.
void clip_by_value(const std::vector<Parameter>& parameters, double limit);

/// Adaptive gradient clipping (Brock et al. 2021): each unit's gradient is scaled down in place to
/// at most `factor` max(|unit|, eps), norms taken over the unit: a row of dimension 0 (an output),
/// or the whole tensor below two dimensions. The paper leaves the last layer out: give the others.
void clip_adaptive(const std::vector<Parameter>& parameters, double factor, double eps = 1e-3);

/// Multiplies every gradient in place.
void scale_grads(const std::vector<Parameter>& parameters, double factor);

/// The name of the first parameter whose gradient holds an infinity or NaN, or "".
std::string first_bad_gradient(const std::vector<Parameter>& parameters);

}  // namespace heed::optim
