#include "optim/optimizer.h"

#include "autograd/tape.h"
#include "kernels/copy/copy.h"
#include "optim/state.h"

namespace heed::optim {

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
  update(active, gradients, lr, grad_scale, ++steps_);
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
