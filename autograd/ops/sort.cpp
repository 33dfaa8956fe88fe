#include "autograd/ops/sort.h"

#include "autograd/trace.h"
#include "kernels/index/along.h"
#include "kernels/index/sort.h"

namespace heed {
namespace {

std::pair<Tensor, Tensor> sorted(const char* op, const Tensor& x, int dim, bool descending,
                                 int64_t count) {
  const kernels::Sorted r = kernels::sort_along(x, dim, descending, count, op);
  if (trace::on())
    trace::report(op, {x}, {r.values, r.indices}, {{"dim", dim}, {"descending", descending}});
  if (!is_floating(x.dtype())) return {r.values, r.indices};
  const Tensor values = record(
      op, {x}, r.values, [indices = save(r.indices), shape = x.shape(), dim, op](const Tensor& dy) {
        return Gradients{kernels::scatter_add_along({}, shape, dim, *indices, dy, op)};
      });
  return {values, r.indices};
}

}  // namespace

std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int dim, bool largest) {
  HEED_CHECK(k >= 0, "topk: k {} is negative", k);
  return sorted("topk", x, dim, largest, k);
}

std::pair<Tensor, Tensor> sort(const Tensor& x, int dim, bool descending) {
  return sorted("sort", x, dim, descending, -1);
}

Tensor argsort(const Tensor& x, int dim, bool descending) {
  const Tensor y = kernels::sort_along(x, dim, descending, -1, "argsort").indices;
  if (trace::on()) trace::report("argsort", {x}, {y}, {{"dim", dim}, {"descending", descending}});
  return y;
}

}  // namespace heed
