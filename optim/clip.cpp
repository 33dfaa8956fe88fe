#include "optim/clip.h"

#include <algorithm>

#include "autograd/tape.h"
#include "kernels/copy/copy.h"
#include "kernels/optim/lists.h"
#include "kernels/optim/units.h"

namespace heed::optim {
namespace {

// One a parameter, undefined where there is none.
std::vector<Tensor> gradients_of(const std::vector<Parameter>& parameters) {
  std::vector<Tensor> gradients;
  gradients.reserve(parameters.size());
  for (const Parameter& p : parameters) {
    const Tensor g = grad(p.tensor);
    gradients.push_back(g.defined() ? kernels::contiguous_as(g, g.dtype()) : g);
    if (g.defined() && !gradients.back().is_same(g)) set_grad(p.tensor, gradients.back());
  }
  return gradients;
}

}  // namespace

double grad_norm(const std::vector<Parameter>& parameters) {
  return kernels::global_norm(gradients_of(parameters));
}

double clip_scale(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

void clip_by_value(const std::vector<Parameter>& parameters, double limit) {
  HEED_CHECK(limit > 0, "clip_by_value: limit {} is not positive", limit);
  kernels::clamp_inplace(gradients_of(parameters), limit);
}

void clip_adaptive(const std::vector<Parameter>& parameters, double factor, double eps) {
  HEED_CHECK(factor > 0 && eps > 0, "clip_adaptive: factor {} and eps {} must be positive", factor,
             eps);
  const std::vector<Tensor> gradients = gradients_of(parameters);
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined()) {
      kernels::clip_units(parameters[i].tensor, gradients[i], factor, eps);
    }
  }
}

void scale_grads(const std::vector<Parameter>& parameters, double factor) {
  kernels::scale_inplace(gradients_of(parameters), factor);
}

std::string first_bad_gradient(const std::vector<Parameter>& parameters) {
  const int64_t bad = kernels::first_not_finite(gradients_of(parameters));
  return bad < 0 ? "" : parameters[static_cast<size_t>(bad)].name;
}

}  // namespace heed::optim
