#include "autograd/ops/compare.h"

#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/compare.h"
#include "kernels/reduce/reduce.h"

namespace heed {
namespace {

using kernels::Compare;
using kernels::Logical;

Tensor compared(Compare op, const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype()) return kernels::compare(op, a, b);
  const DType dtype = kernels::promote(a, b, kernels::name_of(op));
  return kernels::compare(op, kernels::cast(a, dtype), kernels::cast(b, dtype));
}

Tensor zero(DType dtype) { return Tensor::zeros({}, dtype); }

}  // namespace

Tensor eq(const Tensor& a, const Tensor& b) { return compared(Compare::eq, a, b); }
Tensor eq(const Tensor& x, double number) { return kernels::compare(Compare::eq, x, number); }
Tensor ne(const Tensor& a, const Tensor& b) { return compared(Compare::ne, a, b); }
Tensor ne(const Tensor& x, double number) { return kernels::compare(Compare::ne, x, number); }
Tensor lt(const Tensor& a, const Tensor& b) { return compared(Compare::lt, a, b); }
Tensor lt(const Tensor& x, double number) { return kernels::compare(Compare::lt, x, number); }
Tensor le(const Tensor& a, const Tensor& b) { return compared(Compare::le, a, b); }
Tensor le(const Tensor& x, double number) { return kernels::compare(Compare::le, x, number); }
Tensor gt(const Tensor& a, const Tensor& b) { return compared(Compare::gt, a, b); }
Tensor gt(const Tensor& x, double number) { return kernels::compare(Compare::gt, x, number); }
Tensor ge(const Tensor& a, const Tensor& b) { return compared(Compare::ge, a, b); }
Tensor ge(const Tensor& x, double number) { return kernels::compare(Compare::ge, x, number); }

Tensor logical_not(const Tensor& x) {
  HEED_CHECK(x.dtype() == DType::boolean, "logical_not: needs a bool operand, got {}", x);
  return kernels::compare(Compare::eq, x, 0.0);
}
Tensor logical_and(const Tensor& a, const Tensor& b) {
  return kernels::logical(Logical::both, a, b);
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return kernels::logical(Logical::either, a, b);
}

Tensor where(const Tensor& cond, const Tensor& a, const Tensor& b) {
  const DType dtype = kernels::promote(a, b, "where");
  return record("where", {a, b},
                kernels::select(cond, kernels::cast(a, dtype), kernels::cast(b, dtype)),
                [cond = save(cond), a_shape = a.shape(), b_shape = b.shape(), a_dtype = a.dtype(),
                 b_dtype = b.dtype()](const Tensor& dy, const Wanted& wanted) {
                  Gradients grads(2);
                  const Tensor none = zero(dy.dtype());
                  const auto operand = [](const Tensor& g, const Shape& shape, DType own) {
                    return kernels::cast(kernels::sum_to(g, shape), own);
                  };
                  if (wanted[0]) {
                    grads[0] = operand(kernels::select(*cond, dy, none), a_shape, a_dtype);
                  }
                  if (wanted[1]) {
                    grads[1] = operand(kernels::select(*cond, none, dy), b_shape, b_dtype);
                  }
                  return grads;
                });
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  HEED_CHECK(is_floating(x.dtype()), "masked_fill: needs a floating tensor, got {}", x);
  const Tensor y = kernels::select(mask, Tensor::full({}, value, x.dtype(), x.device()), x);
  HEED_CHECK(y.shape() == x.shape(), "masked_fill: mask {} does not broadcast to {}", mask, x);
  return record("masked_fill", {x}, y, [mask = save(mask)](const Tensor& dy) {
    return Gradients{kernels::select(*mask, zero(dy.dtype()), dy)};
  });
}

}  // namespace heed
