#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "autograd/tape.h"
#include "kernels/copy/copy.h"
#include "kernels/optim/lists.h"
#include "optim/state.h"

namespace heed::optim {
namespace {

constexpr const char* kGradNorm = "grad_norm";

}  // namespace

void Optimizer::step(double lr, double grad_scale) {
  std::vector<size_t> active;
  std::vector<Tensor> gradients;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& tensor = parameters_[i].tensor;
    const Tensor gradient = grad(tensor);
    if (!gradient.defined()) continue;
    active.push_back(i);
    gradients.push_back(kernels::contiguous_as(gradient, tensor.dtype()));
  }
  if (norm_bound_.factor > 0) apply_norm_bounds(active, gradients, grad_scale);
  update(active, gradients, lr, grad_scale, ++steps_);
}

void Optimizer::bound_norms(const NormBoundOptions& options) {
  HEED_CHECK(steps_ == 0 && norm_bound_.factor == 0 && options.factor > 0,
             "optimizer: norms are bounded once, by a factor above 0, before the first step");
  norm_bound_ = options;
  add_state(kGradNorm, [](const Tensor&) { return Shape{}; });
}

void Optimizer::apply_norm_bounds(const std::vector<size_t>& active,
                                  const std::vector<Tensor>& gradients, double grad_scale) {
  const auto name = std::find(state_names_.begin(), state_names_.end(), kGradNorm);
  const std::vector<Tensor>& norms = state_[static_cast<size_t>(name - state_names_.begin())];
  const bool warms_up = steps_ < norm_bound_.warmup_steps;
  for (size_t i = 0; i < active.size(); ++i) {
    const Tensor& kept = norms[active[i]];
    double norm = std::abs(grad_scale) * kernels::global_norm(std::span(&gradients[i], 1));
    if (norm == 0.0 || !std::isfinite(norm)) continue;
    double mean = kept.item();
    if (mean == 0.0) {
      mean = norm;
    } else if (warms_up) {
      mean = std::min(mean, norm);
    } else {
      const double bound = norm_bound_.factor * mean;
      if (norm > bound) {
        kernels::scale_inplace(std::span(&gradients[i], 1), bound / norm);
        norm = bound;
      }
      mean = norm_bound_.decay * mean + (1.0 - norm_bound_.decay) * norm;
    }
    kernels::copy(Tensor::full({}, mean, kept.dtype()).to(kept.device()), kept);
  }
}

void Optimizer::zero_grad() {
  for (const Parameter& p : parameters_) clear_grad(p.tensor);
}

void Optimizer::add_state(const std::string& name) {
  add_state(name, [](const Tensor& parameter) { return parameter.shape(); });
}

void Optimizer::add_state(const std::string& name,
                          const std::function<std::optional<Shape>(const Tensor&)>& shape_of) {
  state_names_.push_back(name);
  std::vector<Tensor>& tensors = state_.emplace_back();
  for (const Parameter& p : parameters_) {
    const std::optional<Shape> shape = shape_of(p.tensor);
    const DType dtype = p.tensor.dtype() == DType::f64 ? DType::f64 : DType::f32;
    tensors.push_back(shape ? Tensor::zeros(*shape, dtype, p.tensor.device()) : Tensor());
  }
}

NamedTensors Optimizer::state_tensors() const {
  NamedTensors all;
  all.emplace_back("step", Tensor::scalar(steps_));
  for (size_t s = 0; s < state_names_.size(); ++s) {
    for (size_t i = 0; i < parameters_.size(); ++i) {
      if (state_[s][i].defined()) {
        all.emplace_back(state_names_[s] + "." + parameters_[i].name, state_[s][i]);
      }
    }
  }
  return all;
}

void Optimizer::load_state(const NamedTensors& state) {
  const NamedTensors own = state_tensors();
  load_tensors("the optimizer's state", own, state);
  steps_ = static_cast<int64_t>(own.front().second.item());
}

int64_t Optimizer::state_bytes() const {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : state_tensors()) bytes += tensor.bytes();
  return bytes;
}

}  // namespace heed::optim
