#include "optim/ema.h"

#include <algorithm>

#include "kernels/copy/copy.h"
#include "kernels/optim/lists.h"
#include "optim/state.h"

namespace heed::optim {
namespace {

constexpr const char* kUpdates = "ema.updates";

void exchange(const Tensor& average, const Tensor& value) {
  const Tensor kept = Tensor::empty(average.shape(), average.dtype(), average.device());
  kernels::copy(average, kept);
  kernels::copy(value, average);
  kernels::copy(kept, value);
}

}  // namespace

void EmaOptions::options(Options& o) {
  o.field("decay", decay, "share of the old average that stays at each step",
          {.min = 0, .below = 1});
  o.field("warmup", warmup, "smaller decay in the first steps: (1 + n) / (10 + n)");
}

Ema::Ema(const NamedTensors& parameters, const EmaOptions& options)
    : parameters_(parameters), options_(options) {
  HEED_CHECK(options.decay >= 0 && options.decay < 1, "ema: decay {} is outside [0, 1)",
             options.decay);
  std::vector<Tensor> values;
  for (const auto& [name, tensor] : parameters_) {
    HEED_CHECK(tensor.is_contiguous(), "ema: '{}' is not row-major", name);
    averages_.push_back(Tensor::zeros(
        tensor.shape(), tensor.dtype() == DType::f64 ? DType::f64 : DType::f32, tensor.device()));
    values.push_back(tensor);
  }
  kernels::ema_update(averages_, values, 0.0);  // 0 + (value - 0): exact
}

void Ema::update() {
  HEED_CHECK(!swapped_, "ema: an update while the parameters hold their averages");
  std::vector<Tensor> values;
  for (const auto& [name, tensor] : parameters_) values.push_back(tensor);
  const double n = static_cast<double>(updates_++);
  const double decay =
      options_.warmup ? std::min(options_.decay, (1.0 + n) / (10.0 + n)) : options_.decay;
  kernels::ema_update(averages_, values, decay);
}

void Ema::swap() {
  for (size_t i = 0; i < averages_.size(); ++i) {
    exchange(averages_[i], parameters_[i].second);
  }
  swapped_ = !swapped_;
}

NamedTensors Ema::state_tensors() const {
  HEED_CHECK(!swapped_, "ema: a state is asked for while the parameters hold their averages");
  NamedTensors state;
  for (size_t i = 0; i < averages_.size(); ++i) {
    state.emplace_back(parameters_[i].first, averages_[i]);
  }
  state.emplace_back(kUpdates, Tensor::scalar(updates_));
  return state;
}

void Ema::load_state(const NamedTensors& state) {
  const NamedTensors own = state_tensors();
  load_tensors("the averaged weights", own, state);
  updates_ = static_cast<int64_t>(own.back().second.item());
}

}  // namespace heed::optim
