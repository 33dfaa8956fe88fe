#include "autograd/ops/scan.h"

#include "autograd/trace.h"
#include "kernels/scan/scan.h"

namespace heed {

Tensor cumsum(const Tensor& x, int dim, bool reverse) {
  const Tensor y = kernels::cumulative_sum(x, dim, reverse);
  if (trace::on()) trace::report("cumsum", {x}, {y}, {{"dim", dim}, {"reverse", reverse}});
  return record("cumsum", {x}, y, [dim, reverse](const Tensor& dy) {
    return Gradients{kernels::cumulative_sum(dy, dim, !reverse)};
  });
}

std::pair<Tensor, Tensor> cummax(const Tensor& x, int dim, bool reverse) {
  const auto [values, indices] = kernels::cumulative_max(x, dim, reverse);
  if (trace::on())
    trace::report("cummax", {x}, {values, indices}, {{"dim", dim}, {"reverse", reverse}});
  const Tensor y = record("cummax", {x}, values, [indices = save(indices), dim](const Tensor& dy) {
    return Gradients{kernels::add_along(dy, *indices, dim)};
  });
  return {y, indices};
}

Tensor logcumsumexp(const Tensor& x, int dim) {
  const Tensor y = kernels::log_cumulative_sum_exp(x, dim);
  if (trace::on()) trace::report("logcumsumexp", {x}, {y}, {{"dim", dim}});
  return record("logcumsumexp", {x}, y, [x = save(x), y = save(y), dim](const Tensor& dy) {
    return Gradients{kernels::log_cumulative_sum_exp_backward(dy, *x, *y, dim)};
  });
}

Tensor moving_sum(const Tensor& x, int dim, int64_t window) {
  const Tensor y = kernels::moving_sum(x, dim, window, false);
  if (trace::on()) trace::report("moving_sum", {x}, {y}, {{"dim", dim}, {"window", window}});
  return record("moving_sum", {x}, y, [dim, window](const Tensor& dy) {
    return Gradients{kernels::moving_sum_backward(dy, dim, window, false)};
  });
}

Tensor moving_mean(const Tensor& x, int dim, int64_t window) {
  const Tensor y = kernels::moving_sum(x, dim, window, true);
  if (trace::on()) trace::report("moving_mean", {x}, {y}, {{"dim", dim}, {"window", window}});
  return record("moving_mean", {x}, y, [dim, window](const Tensor& dy) {
    return Gradients{kernels::moving_sum_backward(dy, dim, window, true)};
  });
}

}  // namespace heed
