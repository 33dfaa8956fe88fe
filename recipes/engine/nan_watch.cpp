#include "recipes/engine/nan_watch.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "autograd/tape.h"

namespace heed::recipes {
namespace {

/// Remembers the first event that `tensors` are bad in.
class FirstBad {
 public:
  void look(const char* phase, const char* op, const std::vector<Tensor>& tensors) {
    ++count_;
    if (!found_.empty()) return;
    for (const Tensor& tensor : tensors) {
      if (!tensor.defined() || all_finite(tensor)) continue;
      found_ =
          fmt::format("the first bad tensor is {} of '{}' (number {} of the step), {}, with {}",
                      phase, op, count_, tensor, describe(tensor));
      return;
    }
  }
  const std::string& found() const { return found_; }

 private:
  static std::string describe(const Tensor& tensor) {
    int64_t nans = 0, infinities = 0;
    for (const double value : tensor.to_vector<double>()) {
      nans += std::isnan(value);
      infinities += std::isinf(value);
    }
    return fmt::format("{} NaN and {} infinite of {} values", nans, infinities, tensor.numel());
  }

  std::string found_;
  int64_t count_ = 0;
};

/// Installs the observer for as long as it lives.
class Watch {
 public:
  explicit Watch(TapeObserver observer) { set_tape_observer(std::move(observer)); }
  ~Watch() { set_tape_observer({}); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

std::string bad_gradient(nn::Module& module) {
  for (const auto& named : module.named_parameters()) {
    const Tensor gradient = grad(*named.tensor);
    if (gradient.defined() && !all_finite(gradient)) return named.name;
  }
  return "";
}

void clear_gradients(nn::Module& module) {
  for (const auto& named : module.named_parameters()) clear_grad(*named.tensor);
}

}  // namespace

bool all_finite(const Tensor& tensor) {
  if (!is_floating(tensor.dtype())) return true;
  const std::vector<double> values = tensor.to_vector<double>();
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); });
}

std::string bad_before_step(const std::vector<std::pair<std::string, Tensor>>& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (all_finite(tensor)) continue;
    return fmt::format("the parameter '{}' held a value that is not finite before the step", name);
  }
  return "";
}

std::string explain_nonfinite(nn::Module& module, const std::function<void()>& step) {
  const std::string bad = bad_before_step(nn::state_dict(module));
  return bad.empty() ? first_nonfinite(module, step) : bad;
}

std::string first_nonfinite(nn::Module& module, const std::function<void()>& step) {
  FirstBad first;
  clear_gradients(module);
  {
    const Watch watch(
        {.forward =
             [&](const char* op, const auto& /*inputs*/, const std::vector<Tensor>& outputs) {
               first.look("an output", op, outputs);
             },
         .backward = [&](const char* op, const auto& /*of_outputs*/,
                         const Gradients& gradients) { first.look("a gradient", op, gradients); }});
    step();
  }
  const std::string gradient = bad_gradient(module);
  clear_gradients(module);

  if (gradient.empty()) return first.found();
  return fmt::format("{}{}the first parameter with a bad gradient is '{}'", first.found(),
                     first.found().empty() ? "" : "; ", gradient);
}

}  // namespace heed::recipes
