#include "autograd/ops/sampling.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/trace.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/random/sampling.h"
#include "kernels/reduce/reduce.h"

namespace heed {

Tensor gumbel_softmax(const Tensor& logits, double temperature, bool hard, const RandomKey& key) {
  HEED_CHECK(temperature > 0, "gumbel_softmax: temperature {} is not positive", temperature);
  const Tensor noise =
      kernels::cast(kernels::gumbel_noise(logits.shape(), key).to(logits.device()), logits.dtype());
  const Tensor soft = softmax((logits + noise) * (1 / temperature), -1);
  if (!hard) return soft;
  const Tensor largest = kernels::max_along(soft, -1).second;
  const Tensor ones = Tensor::full(largest.shape(), 1, soft.dtype(), soft.device());
  return straight_through(kernels::scatter_along(ones, largest, -1, logits.size(-1)), soft);
}

Tensor straight_through(const Tensor& value, const Tensor& gradient) {
  HEED_CHECK(value.shape() == gradient.shape() && is_floating(value.dtype()) &&
                 is_floating(gradient.dtype()),
             "straight_through: the value is {}, the gradient goes to {}", value, gradient);
  const Tensor y = value.detach();
  if (trace::on()) trace::report("straight_through", {value}, {y});
  return record("straight_through", {gradient}, y, [dtype = gradient.dtype()](const Tensor& dy) {
    return Gradients{kernels::cast(dy, dtype)};
  });
}

Tensor drop_path(const Tensor& x, double p, const RandomKey& key) {
  HEED_CHECK(p >= 0 && p < 1, "drop_path: p = {} is not in [0, 1)", p);
  HEED_CHECK(x.rank() >= 1, "drop_path: x is {}, needs [B, ...]", x);
  if (p == 0) return x;
  const RandomStream stream(key);
  std::vector<double> factors(static_cast<size_t>(x.size(0)));
  for (size_t b = 0; b < factors.size(); ++b) {
    factors[b] = static_cast<double>(stream.uniform(b)) < p ? 0 : 1 / (1 - p);
  }
  Shape shape = x.shape();
  for (int i = 1; i < shape.rank(); ++i) shape[i] = 1;
  const Tensor factor = kernels::cast(Tensor::from(factors, shape).to(x.device()),
                                      x.dtype() == DType::f64 ? DType::f64 : DType::f32);
  const auto scaled = [](const Tensor& t, const Tensor& by) {
    return kernels::cast(kernels::binary(kernels::Binary::mul, t, by), t.dtype());
  };
  const Tensor y = scaled(x, factor);
  if (trace::on()) trace::report("drop_path", {x}, {y});
  return record("drop_path", {x}, y, [factor = save(factor), scaled](const Tensor& dy) {
    return Gradients{scaled(dy, *factor)};
  });
}

}  // namespace heed
