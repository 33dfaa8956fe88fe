#include "autograd/ops/reduce.h"

#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/reduce/reduce.h"

namespace heed {
namespace {

// The reduced shape with extents of 1 for the dimensions that went.
Shape kept_shape(const Shape& shape, const std::vector<int>& dims) {
  Shape kept = shape;
  for (int d = 0; d < shape.rank(); ++d) kept[d] = dims.empty() ? 1 : shape[d];
  for (const int d : dims) kept[d] = 1;
  return kept;
}

Tensor scaled_sum(const char* op, const Tensor& x, const std::vector<int>& dims, bool keepdim,
                  double scale) {
  const Tensor y = kernels::sum(x, dims, keepdim, scale);
  if (trace::on()) trace::report(op, {x}, {y}, {{"dims", dims}, {"keepdim", keepdim}});
  return record(op, {x}, y, [shape = x.shape(), dims, scale](const Tensor& dy) {
    const Tensor scaled = scale == 1.0 ? dy : kernels::binary(kernels::Binary::mul, dy, scale);
    const Tensor kept = views::reshape(scaled, kept_shape(shape, dims));
    return Gradients{views::expand(kept, shape)};
  });
}

// Values and indices of max_along or min_along as the op's results.
std::pair<Tensor, Tensor> extreme(const char* op, const std::pair<Tensor, Tensor>& found,
                                  const Tensor& x, int dim, bool keepdim) {
  dim = x.shape().dim_index(dim, op);
  const auto& [values, indices] = found;
  const Tensor extremes = keepdim ? values : views::squeeze(values, dim);
  const Tensor places = keepdim ? indices : views::squeeze(indices, dim);
  if (trace::on()) trace::report(op, {x}, {extremes, places}, {{"dim", dim}, {"keepdim", keepdim}});
  const Tensor y = record(
      op, {x}, extremes, [indices = save(indices), dim, extent = x.size(dim)](const Tensor& dy) {
        const Tensor kept = views::reshape(kernels::contiguous(dy), indices->shape());
        return Gradients{kernels::scatter_along(kept, *indices, dim, extent)};
      });
  return {y, places};
}

}  // namespace

Tensor sum(const Tensor& x, const std::vector<int>& dims, bool keepdim) {
  return scaled_sum("sum", x, dims, keepdim, 1.0);
}

Tensor mean(const Tensor& x, const std::vector<int>& dims, bool keepdim) {
  int64_t count = dims.empty() ? x.numel() : 1;
  for (const int d : dims) count *= x.size(d);
  HEED_CHECK(count > 0, "mean: of no elements, x {}", x);
  return scaled_sum("mean", x, dims, keepdim, 1.0 / static_cast<double>(count));
}

std::pair<Tensor, Tensor> max_with_indices(const Tensor& x, int dim, bool keepdim) {
  return extreme("max", kernels::max_along(x, dim), x, dim, keepdim);
}

std::pair<Tensor, Tensor> min_with_indices(const Tensor& x, int dim, bool keepdim) {
  return extreme("min", kernels::min_along(x, dim), x, dim, keepdim);
}

Tensor max(const Tensor& x, int dim, bool keepdim) {
  return max_with_indices(x, dim, keepdim).first;
}

Tensor min(const Tensor& x, int dim, bool keepdim) {
  return min_with_indices(x, dim, keepdim).first;
}

Tensor argmax(const Tensor& x, int dim) {
  const Tensor y = views::squeeze(kernels::max_along(x, dim).second, dim);
  if (trace::on()) trace::report("argmax", {x}, {y}, {{"dim", dim}});
  return y;
}

Tensor argmin(const Tensor& x, int dim) {
  const Tensor y = views::squeeze(kernels::min_along(x, dim).second, dim);
  if (trace::on()) trace::report("argmin", {x}, {y}, {{"dim", dim}});
  return y;
}

}  // namespace heed
