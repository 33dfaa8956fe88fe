#include "autograd/ops/scan.h"

#include "kernels/scan/scan.h"

namespace heed {

Tensor cumsum(const Tensor& x, int dim, bool reverse) {
  return record("cumsum", {x}, kernels::cumulative_sum(x, dim, reverse),
                [dim, reverse](const Tensor& dy) {
                  return Gradients{kernels::cumulative_sum(dy, dim, !reverse)};
                });
}

std::pair<Tensor, Tensor> cummax(const Tensor& x, int dim, bool reverse) {
  const auto [values, indices] = kernels::cumulative_max(x, dim, reverse);
  const Tensor y = record("cummax", {x}, values, [indices = save(indices), dim](const Tensor& dy) {
    return Gradients{kernels::add_along(dy, *indices, dim)};
  });
  return {y, indices};
}

Tensor logcumsumexp(const Tensor& x, int dim) {
  const Tensor y = kernels::log_cumulative_sum_exp(x, dim);
  return record("logcumsumexp", {x}, y, [x = save(x), y = save(y), dim](const Tensor& dy) {
    return Gradients{kernels::log_cumulative_sum_exp_backward(dy, *x, *y, dim)};
  });
}

Tensor moving_sum(const Tensor& x, int dim, int64_t window) {
  return record("moving_sum", {x}, kernels::moving_sum(x, dim, window, false),
                [dim, window](const Tensor& dy) {
                  return Gradients{kernels::moving_sum_backward(dy, dim, window, false)};
                });
}

Tensor moving_mean(const Tensor& x, int dim, int64_t window) {
  return record("moving_mean", {x}, kernels::moving_sum(x, dim, window, true),
                [dim, window](const Tensor& dy) {
                  return Gradients{kernels::moving_sum_backward(dy, dim, window, true)};
                });
}

}  // namespace heed
