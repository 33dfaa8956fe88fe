#include "autograd/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace heed {
namespace {

using Outputs = std::vector<Tensor>;
using Function = std::function<Outputs(const std::vector<Tensor>&)>;

// Fixed random weights in [0.5, 1.5) with random signs: no element's gradient is lost in another's.
std::vector<Tensor> cotangents(const Outputs& outputs, uint64_t seed) {
  std::vector<Tensor> weights;
  for (size_t k = 0; k < outputs.size(); ++k) {
    const RandomStream stream(RandomKey{seed, hash_name("gradcheck"), k});
    std::vector<double> values(static_cast<size_t>(outputs[k].numel()));
    for (size_t i = 0; i < values.size(); ++i) {
      const double magnitude = 0.5 + stream.uniform(2 * i);
      values[i] = stream.uniform(2 * i + 1) < 0.5 ? -magnitude : magnitude;
    }
    weights.push_back(Tensor::from(values, outputs[k].shape()));
  }
  return weights;
}

double weighted_sum(const Outputs& outputs, const std::vector<Tensor>& weights) {
  double total = 0;
  for (size_t k = 0; k < outputs.size(); ++k) {
    const std::vector<double> y = outputs[k].to_vector<double>();
    const std::vector<double> w = weights[k].to_vector<double>();
    for (size_t i = 0; i < y.size(); ++i) total += y[i] * w[i];
  }
  return total;
}

// A leaf over the same memory layout as x, so that strided inputs are checked as they are.
Tensor leaf_like(const Tensor& x) {
  auto storage = std::make_shared<Storage>(x.storage()->bytes, x.device());
  const char* from = static_cast<const char*>(x.storage()->data);
  std::copy_n(from, x.storage()->bytes, static_cast<char*>(storage->data));
  return Tensor::over(std::move(storage), x.offset(), x.shape(), x.strides(), x.dtype());
}

// Offset in elements of the i-th element in row-major order.
int64_t offset_of(const Tensor& x, int64_t i) {
  int64_t offset = 0;
  for (int d = x.rank() - 1; d >= 0; --d) {
    offset += i % x.shape()[d] * x.strides()[d];
    i /= x.shape()[d];
  }
  return offset;
}

std::string check(const Function& fn, const std::vector<Tensor>& given,
                  const GradcheckOptions& options) {
  std::vector<Tensor> inputs;
  for (size_t k = 0; k < given.size(); ++k) {
    const Tensor& x = given[k];
    inputs.push_back(leaf_like(x));
    if (!is_floating(x.dtype())) continue;
    HEED_CHECK(x.dtype() == DType::f64, "gradcheck: input {} is {}, not f64", k, x);
    require_grad(inputs.back());
  }
  Outputs outputs;
  {
    const WithGrad recorded;
    outputs = fn(inputs);
  }
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (outputs[k].dtype() != DType::f64) {
      return fmt::format("output {} is {}, not f64", k, outputs[k]);
    }
  }
  const std::vector<Tensor> weights = cotangents(outputs, options.seed);
  std::vector<Tensor> roots, seeds;
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (!requires_grad(outputs[k])) continue;
    roots.push_back(outputs[k]);
    seeds.push_back(weights[k]);
  }
  if (!roots.empty()) backward(roots, seeds);

  const NoGrad no_grad;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& x = inputs[k];
    if (x.dtype() != DType::f64) continue;
    const Tensor gradient = grad(x);
    const std::vector<double> analytic =
        gradient.defined() ? gradient.to_vector<double>()
                           : std::vector<double>(static_cast<size_t>(x.numel()), 0.0);
    for (int64_t i = 0; i < x.numel(); ++i) {
      double& element = x.data<double>()[offset_of(x, i)];
      const double value = element;
      const double step = options.step * std::max(1.0, std::abs(value));
      element = value + step;
      const double up = weighted_sum(fn(inputs), weights);
      element = value - step;
      const double down = weighted_sum(fn(inputs), weights);
      element = value;
      const double numeric = (up - down) / (2 * step);
      const double got = analytic[static_cast<size_t>(i)];
      const double bound = options.absolute + options.relative * std::abs(numeric);
      if (!(std::abs(got - numeric) <= bound)) {
        return fmt::format("input {} ({}), element {}: gradient {}, by differences {}", k, x, i,
                           got, numeric);
      }
    }
  }
  return "";
}

}  // namespace

std::string gradcheck(const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& fn,
                      const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  return check(fn, inputs, options);
}

std::string gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                      const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  return check([&fn](const std::vector<Tensor>& x) { return Outputs{fn(x)}; }, inputs, options);
}

}  // namespace heed
