#include "autograd/ops/matmul.h"

#include <algorithm>
#include <span>

#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/matmul/matmul.h"

namespace heed {
namespace {

// x as a matrix of rows: a view where strides allow, else a copy.
Tensor rows_of(const Tensor& x) {
  const Shape shape{x.numel() / std::max<int64_t>(x.size(-1), 1), x.size(-1)};
  Shape strides;
  if (views::can_reshape(x, shape, &strides)) return views::as_strided(x, shape, strides);
  return views::reshape(kernels::contiguous_as(x, x.dtype()), shape);
}

// The product's dtype: the wider of the two operands'.
DType common_dtype(const Tensor& a, const Tensor& b) {
  for (DType wide : {DType::f64, DType::f32}) {
    if (a.dtype() == wide || b.dtype() == wide) return wide;
  }
  return a.dtype();
}

// x in the wanted dtype, its strides kept when it has that already.
Tensor in_dtype(const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : kernels::contiguous_as(x, dtype);
}

// sum += left x right over every batch index; sum's batch extents may be 1 where the factors' are
// not.
void add_products(const Tensor& left, const Tensor& right, const Tensor& sum) {
  if (left.rank() == 2) {
    kernels::gemm(left, right, sum, {.accumulate = true});
    return;
  }
  for (int64_t i = 0; i < left.size(0); ++i) {
    add_products(views::select(left, 0, i), views::select(right, 0, i),
                 views::select(sum, 0, sum.size(0) == 1 ? 0 : i));
  }
}

Shape batch_of(const Tensor& x) {
  return {std::span(x.shape().begin(), static_cast<size_t>(x.rank() - 2))};
}

Tensor with_batch(const Tensor& x, Shape batch) {
  batch.push_back(x.size(-2));
  batch.push_back(x.size(-1));
  return views::expand(x, batch);
}

// The gradient of one operand of a batched product: left x right, summed over the batch dimensions
// that the operand was broadcast over.
Tensor operand_gradient(const Tensor& left, const Tensor& right, const Tensor& operand) {
  const Shape batch = broadcast_shapes(batch_of(left), batch_of(right), "matmul");
  const Tensor l = with_batch(left, batch), r = with_batch(right, batch);
  Shape shape = l.shape();
  shape[-1] = r.size(-1);
  if (shape == operand.shape())
    return kernels::contiguous_as(kernels::matmul(left, right), operand.dtype());
  Shape padded = operand.shape();
  while (padded.rank() < shape.rank()) padded.insert(0, 1);
  const Tensor sum =
      Tensor::zeros(padded, l.dtype() == DType::f64 ? DType::f64 : DType::f32, operand.device());
  add_products(l, r, sum);
  return kernels::contiguous_as(views::reshape(sum, operand.shape()), operand.dtype());
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  HEED_CHECK(a.rank() >= 2 && b.rank() >= 2 && a.size(-1) == b.size(-2), "matmul: {} x {}", a, b);
  const DType dtype = common_dtype(a, b);
  const Tensor y = kernels::matmul(in_dtype(a, dtype), in_dtype(b, dtype));
  if (trace::on()) trace::report("matmul", {a, b}, {y});
  return record("matmul", {a, b}, y,
                [a = save(a), b = save(b), dtype](const Tensor& dy, const Wanted& wanted) {
                  const Tensor dz = kernels::contiguous_as(dy, dtype);
                  Gradients grads(2);
                  const auto transposed = [dtype](const Tensor& x) {
                    return views::transpose(in_dtype(x, dtype), -1, -2);
                  };
                  if (wanted[0]) grads[0] = operand_gradient(dz, transposed(*b), *a);
                  if (wanted[1] && b->rank() == 2) {  // one product over all rows
                    const Tensor rows = rows_of(in_dtype(*a, dtype));
                    grads[1] = operand_gradient(views::transpose(rows, 0, 1), rows_of(dz), *b);
                  } else if (wanted[1]) {
                    grads[1] = operand_gradient(transposed(*a), dz, *b);
                  }
                  return grads;
                });
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  HEED_CHECK(x.rank() >= 1 && weight.rank() == 2 && x.size(-1) == weight.size(1),
             "linear: x {} with weight {} (the last extents must agree)", x, weight);
  HEED_CHECK(!bias.defined() || bias.shape() == Shape{weight.size(0)},
             "linear: bias {} for weight {}", bias, weight);
  const Tensor rows = rows_of(x);
  const Tensor w = in_dtype(weight, x.dtype());
  const int64_t outputs = weight.size(0);
  Shape shape = x.shape();
  shape[-1] = outputs;

  const Tensor z = Tensor::empty({rows.size(0), outputs}, x.dtype(), x.device());
  const bool keep_input = activation != Activation::none && needs_grad({x, weight, bias});
  const Tensor y = keep_input ? Tensor::empty(z.shape(), z.dtype(), z.device()) : z;
  kernels::gemm(rows, views::transpose(w, 0, 1), z,
                {.bias = bias, .activation = activation, .activated = keep_input ? y : Tensor()});

  const Tensor shaped = views::reshape(y, shape);
  if (trace::on())
    trace::report("linear", {x, weight, bias}, {shaped},
                  {{"activation", static_cast<int>(activation)}});
  return record(
      "linear", {x, weight, bias}, shaped,
      [x = save(rows), weight = save(weight), z = save(keep_input ? z : Tensor()), activation,
       x_shape = x.shape(), bias_dtype = bias.defined() ? bias.dtype() : DType::f32](
          const Tensor& dy, const Wanted& wanted) {
        const Tensor dy_rows = kernels::contiguous_as(rows_of(dy), x->dtype());
        const auto [dz, dbias] = kernels::activation_backward(activation, dy_rows, *z, wanted[2]);
        Gradients grads(3);
        if (wanted[0]) {
          const Tensor dx = Tensor::empty(x->shape(), x->dtype(), x->device());
          kernels::gemm(dz, in_dtype(*weight, x->dtype()), dx);
          grads[0] = views::reshape(dx, x_shape);
        }
        if (wanted[1]) {
          const bool wide = weight->dtype() == DType::f32 && x->dtype() == DType::bf16;
          const Tensor dw =
              Tensor::empty(weight->shape(), wide ? DType::f32 : x->dtype(), x->device());
          kernels::gemm(views::transpose(dz, 0, 1), *x, dw);
          grads[1] = kernels::contiguous_as(dw, weight->dtype());
        }
        if (wanted[2]) grads[2] = kernels::contiguous_as(dbias, bias_dtype);
        return grads;
      });
}

}  // namespace heed
