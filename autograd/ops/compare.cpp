#include "autograd/ops/compare.h"

#include "autograd/trace.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/compare.h"
#include "kernels/reduce/reduce.h"

namespace heed {
namespace {

using kernels::Compare;
using kernels::Logical;

Tensor compared(Compare op, const Tensor& a, const Tensor& b) {
  const bool alike = a.dtype() == b.dtype();
  const DType dtype = alike ? a.dtype() : kernels::promote(a, b, kernels::name_of(op));
  const Tensor y = alike ? kernels::compare(op, a, b)
                         : kernels::compare(op, kernels::cast(a, dtype), kernels::cast(b, dtype));
  if (trace::on()) trace::report(kernels::name_of(op), {a, b}, {y});
  return y;
}

Tensor compared(Compare op, const Tensor& x, double number) {
  const Tensor y = kernels::compare(op, x, number);
  if (trace::on()) trace::report(kernels::name_of(op), {x}, {y}, {{"number", number}});
  return y;
}

Tensor combined(Logical op, const char* name, const Tensor& a, const Tensor& b) {
  const Tensor y = kernels::logical(op, a, b);
  if (trace::on()) trace::report(name, {a, b}, {y});
  return y;
}

Tensor zero(DType dtype) { return Tensor::zeros({}, dtype); }

}  // namespace

Tensor eq(const Tensor& a, const Tensor& b) { return compared(Compare::eq, a, b); }
Tensor eq(const Tensor& x, double number) { return compared(Compare::eq, x, number); }
Tensor ne(const Tensor& a, const Tensor& b) { return compared(Compare::ne, a, b); }
Tensor ne(const Tensor& x, double number) { return compared(Compare::ne, x, number); }
Tensor lt(const Tensor& a, const Tensor& b) { return compared(Compare::lt, a, b); }
Tensor lt(const Tensor& x, double number) { return compared(Compare::lt, x, number); }
Tensor le(const Tensor& a, const Tensor& b) { return compared(Compare::le, a, b); }
Tensor le(const Tensor& x, double number) { return compared(Compare::le, x, number); }
Tensor gt(const Tensor& a, const Tensor& b) { return compared(Compare::gt, a, b); }
Tensor gt(const Tensor& x, double number) { return compared(Compare::gt, x, number); }
Tensor ge(const Tensor& a, const Tensor& b) { return compared(Compare::ge, a, b); }
Tensor ge(const Tensor& x, double number) { return compared(Compare::ge, x, number); }

Tensor logical_not(const Tensor& x) {
  HEED_CHECK(x.dtype() == DType::boolean, "logical_not: needs a bool operand, got {}", x);
  const Tensor y = kernels::compare(Compare::eq, x, 0.0);
  if (trace::on()) trace::report("logical_not", {x}, {y});
  return y;
}
Tensor logical_and(const Tensor& a, const Tensor& b) {
  return combined(Logical::both, "logical_and", a, b);
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return combined(Logical::either, "logical_or", a, b);
}

Tensor where(const Tensor& cond, const Tensor& a, const Tensor& b) {
  const DType dtype = kernels::promote(a, b, "where");
  const Tensor y = kernels::select(cond, kernels::cast(a, dtype), kernels::cast(b, dtype));
  if (trace::on()) trace::report("where", {cond, a, b}, {y});
  return record("where", {a, b}, y,
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
  if (trace::on()) trace::report("masked_fill", {x, mask}, {y}, {{"value", value}});
  return record("masked_fill", {x}, y, [mask = save(mask)](const Tensor& dy) {
    return Gradients{kernels::select(*mask, zero(dy.dtype()), dy)};
  });
}

}  // namespace heed
