#include "autograd/ops/index.h"

#include "kernels/index/index.h"

namespace heed {

Tensor embedding(const Tensor& weight, const Tensor& ids, DType dtype) {
  HEED_CHECK(weight.rank() == 2, "embedding: the weight is {}, needs [V, C]", weight);
  return record("embedding", {weight}, kernels::take(weight, 0, ids, dtype, "embedding"),
                [ids = save(ids), shape = weight.shape(), own = weight.dtype()](const Tensor& dy) {
                  return Gradients{kernels::take_backward(dy, 0, *ids, shape, own, "embedding")};
                });
}

Tensor index_select(const Tensor& x, int dim, const Tensor& index) {
  const char* op = "index_select";
  HEED_CHECK(index.rank() == 1, "{}: the index is {}, needs [K]", op, index);
  return record(
      op, {x}, kernels::take(x, dim, index, x.dtype(), op),
      [index = save(index), shape = x.shape(), own = x.dtype(), dim, op](const Tensor& dy) {
        return Gradients{kernels::take_backward(dy, dim, *index, shape, own, op)};
      });
}

}  // namespace heed
