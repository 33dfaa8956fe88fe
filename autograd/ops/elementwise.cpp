#include "autograd/ops/elementwise.h"

#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/parametric.h"
#include "kernels/elementwise/unary.h"
#include "kernels/random/dropout.h"
#include "kernels/reduce/reduce.h"

namespace heed {
namespace {

using kernels::Binary;
using kernels::Parametric;
using kernels::Unary;

// The gradient of an operand: what broadcasting repeated is summed, in the operand's own dtype.
Tensor to_operand(const Tensor& gradient, const Shape& shape, DType dtype) {
  return kernels::cast(kernels::sum_to(gradient, shape), dtype);
}

Tensor record_unary(Unary op, const Tensor& x) {
  const Tensor y = kernels::unary(op, x);
  if (trace::on()) trace::report(kernels::name_of(op), {x}, {y});
  return record(kernels::name_of(op), {x}, y,
                [op, saved = save(kernels::saves_output(op) ? y : x)](const Tensor& dy) {
                  return Gradients{kernels::unary_backward(op, dy, *saved)};
                });
}

// An operand as the product's kernels take it: in the promoted dtype, or a number of its own.
Tensor as_operand(const Tensor& x, DType dtype) {
  return x.rank() == 0 ? x : kernels::cast(x, dtype);
}

Tensor record_parametric(Parametric op, const Tensor& x, double a, double b = 0.0) {
  const Tensor y = kernels::parametric(op, x, a, b);
  if (trace::on()) trace::report(kernels::name_of(op), {x}, {y}, {{"a", a}, {"b", b}});
  return record(kernels::name_of(op), {x}, y, [op, x = save(x), a, b](const Tensor& dy) {
    return Gradients{kernels::parametric_backward(op, dy, *x, a, b)};
  });
}

// An op whose kernel gives both gradients at once.
Tensor record_pair(Binary op, const Tensor& a, const Tensor& b) {
  const Tensor y = kernels::binary(op, a, b);
  if (trace::on()) trace::report(kernels::name_of(op), {a, b}, {y});
  return record(kernels::name_of(op), {a, b}, y, [op, a = save(a), b = save(b)](const Tensor& dy) {
    const auto [da, db] =
        kernels::binary_backward(op, dy, as_operand(*a, dy.dtype()), as_operand(*b, dy.dtype()));
    return Gradients{to_operand(da, a->shape(), a->dtype()),
                     to_operand(db, b->shape(), b->dtype())};
  });
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  const Tensor y = kernels::binary(Binary::add, a, b);
  if (trace::on()) trace::report("add", {a, b}, {y});
  return record("add", {a, b}, y,
                [a_shape = a.shape(), b_shape = b.shape(), a_dtype = a.dtype(),
                 b_dtype = b.dtype()](const Tensor& dy, const Wanted& wanted) {
                  Gradients grads(2);
                  if (wanted[0]) grads[0] = to_operand(dy, a_shape, a_dtype);
                  if (wanted[1]) grads[1] = to_operand(dy, b_shape, b_dtype);
                  return grads;
                });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  const Tensor y = kernels::binary(Binary::sub, a, b);
  if (trace::on()) trace::report("sub", {a, b}, {y});
  return record("sub", {a, b}, y,
                [a_shape = a.shape(), b_shape = b.shape(), a_dtype = a.dtype(),
                 b_dtype = b.dtype()](const Tensor& dy, const Wanted& wanted) {
                  Gradients grads(2);
                  if (wanted[0]) grads[0] = to_operand(dy, a_shape, a_dtype);
                  if (wanted[1]) {
                    // the sum is the smaller of the two to negate
                    grads[1] = kernels::unary(Unary::neg, to_operand(dy, b_shape, b_dtype));
                  }
                  return grads;
                });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  const Tensor y = kernels::binary(Binary::mul, a, b);
  if (trace::on()) trace::report("mul", {a, b}, {y});
  return record("mul", {a, b}, y,
                [a = save(a), b = save(b)](const Tensor& dy, const Wanted& wanted) {
                  Gradients grads(2);
                  const auto product = [&dy](const Tensor& other) {
                    return kernels::binary(Binary::mul, dy, as_operand(other, dy.dtype()));
                  };
                  if (wanted[0]) grads[0] = to_operand(product(*b), a->shape(), a->dtype());
                  if (wanted[1]) grads[1] = to_operand(product(*a), b->shape(), b->dtype());
                  return grads;
                });
}

Tensor div(const Tensor& a, const Tensor& b) {
  const Tensor y = kernels::binary(Binary::div, a, b);
  if (trace::on()) trace::report("div", {a, b}, {y});
  return record("div", {a, b}, y,
                [a_shape = a.shape(), a_dtype = a.dtype(), b = save(b), y = save(y)](
                    const Tensor& dy, const Wanted& wanted) {
                  Gradients grads(2);
                  const Tensor denominator = as_operand(*b, dy.dtype());
                  if (wanted[0]) {
                    grads[0] =
                        to_operand(kernels::binary(Binary::div, dy, denominator), a_shape, a_dtype);
                  }
                  if (wanted[1]) {
                    grads[1] = to_operand(kernels::div_denominator_gradient(dy, *y, denominator),
                                          b->shape(), b->dtype());
                  }
                  return grads;
                });
}

Tensor add(const Tensor& x, double scalar) {
  const Tensor y = kernels::binary(Binary::add, x, scalar);
  if (trace::on()) trace::report("add", {x}, {y}, {{"number", scalar}});
  return record("add", {x}, y, [](const Tensor& dy) { return Gradients{dy}; });
}

Tensor mul(const Tensor& x, double scalar) {
  const Tensor y = kernels::binary(Binary::mul, x, scalar);
  if (trace::on()) trace::report("mul", {x}, {y}, {{"number", scalar}});
  return record("mul", {x}, y, [scalar](const Tensor& dy) {
    return Gradients{kernels::binary(Binary::mul, dy, scalar)};
  });
}

Tensor neg(const Tensor& x) { return record_unary(Unary::neg, x); }
Tensor exp(const Tensor& x) { return record_unary(Unary::exp, x); }
Tensor log(const Tensor& x) { return record_unary(Unary::log, x); }
Tensor sqrt(const Tensor& x) { return record_unary(Unary::sqrt, x); }
Tensor rsqrt(const Tensor& x) { return record_unary(Unary::rsqrt, x); }
Tensor square(const Tensor& x) { return record_unary(Unary::square, x); }
Tensor tanh(const Tensor& x) { return record_unary(Unary::tanh, x); }
Tensor sigmoid(const Tensor& x) { return record_unary(Unary::sigmoid, x); }
Tensor relu(const Tensor& x) { return record_unary(Unary::relu, x); }
Tensor silu(const Tensor& x) { return record_unary(Unary::silu, x); }
Tensor gelu(const Tensor& x) { return record_unary(Unary::gelu, x); }
Tensor gelu_tanh(const Tensor& x) { return record_unary(Unary::gelu_tanh, x); }

Tensor abs(const Tensor& x) { return record_unary(Unary::abs, x); }
Tensor sign(const Tensor& x) {
  const Tensor y = kernels::unary(Unary::sign, x);
  if (trace::on()) trace::report("sign", {x}, {y});
  return y;
}
Tensor sin(const Tensor& x) { return record_unary(Unary::sin, x); }
Tensor cos(const Tensor& x) { return record_unary(Unary::cos, x); }
Tensor expm1(const Tensor& x) { return record_unary(Unary::expm1, x); }
Tensor log1p(const Tensor& x) { return record_unary(Unary::log1p, x); }
Tensor erf(const Tensor& x) { return record_unary(Unary::erf, x); }
Tensor relu6(const Tensor& x) { return record_unary(Unary::relu6, x); }
Tensor hard_sigmoid(const Tensor& x) { return record_unary(Unary::hard_sigmoid, x); }
Tensor hard_swish(const Tensor& x) { return record_unary(Unary::hard_swish, x); }

Tensor pow(const Tensor& x, double exponent) {
  if (exponent == 2.0) return square(x);
  return record_parametric(Parametric::pow, x, exponent);
}
Tensor leaky_relu(const Tensor& x, double slope) {
  return record_parametric(Parametric::leaky_relu, x, slope);
}
Tensor elu(const Tensor& x, double alpha) { return record_parametric(Parametric::elu, x, alpha); }
Tensor softplus(const Tensor& x, double beta, double threshold) {
  HEED_CHECK(beta > 0, "softplus: beta = {} is not positive", beta);
  return record_parametric(Parametric::softplus, x, beta, threshold);
}
Tensor clamp(const Tensor& x, double low, double high) {
  HEED_CHECK(low <= high, "clamp: the bounds {} and {} are not in order", low, high);
  return record_parametric(Parametric::clamp, x, low, high);
}

Tensor pow(const Tensor& a, const Tensor& b) { return record_pair(Binary::pow, a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return record_pair(Binary::maximum, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return record_pair(Binary::minimum, a, b); }

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  const Tensor y = kernels::swiglu(gate, up);
  if (trace::on()) trace::report("swiglu", {gate, up}, {y});
  return record("swiglu", {gate, up}, y, [gate = save(gate), up = save(up)](const Tensor& dy) {
    const Tensor dgate = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    const Tensor dup = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
    kernels::swiglu_backward(dy, *gate, *up, dgate, dup);
    return Gradients{dgate, dup};
  });
}

Tensor swiglu_packed(const Tensor& gate_up) {
  HEED_CHECK(gate_up.rank() > 0 && gate_up.size(-1) % 2 == 0,
             "swiglu_packed: the last dimension of {} is not two equal halves", gate_up);
  const int64_t half = gate_up.size(-1) / 2;
  const auto gate_of = [half](const Tensor& x) { return views::slice(x, -1, 0, half); };
  const auto up_of = [half](const Tensor& x) { return views::slice(x, -1, half, 2 * half); };
  const Tensor y = kernels::swiglu(gate_of(gate_up), up_of(gate_up));
  if (trace::on()) trace::report("swiglu_packed", {gate_up}, {y});
  return record("swiglu_packed", {gate_up}, y,
                [gate_up = save(gate_up), gate_of, up_of](const Tensor& dy) {
                  const Tensor packed = Tensor::empty(gate_up->shape(), dy.dtype(), dy.device());
                  kernels::swiglu_backward(dy, gate_of(*gate_up), up_of(*gate_up), gate_of(packed),
                                           up_of(packed));
                  return Gradients{packed};
                });
}

Tensor to(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  const Tensor y = kernels::contiguous(x).to(device);
  if (trace::on()) trace::report("to", {x}, {y});
  return record("to", {x}, y, [from = x.device()](const Tensor& dy) {
    return Gradients{kernels::contiguous(dy).to(from)};
  });
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  HEED_CHECK(is_floating(dtype) && is_floating(x.dtype()),
             "cast: {} to {}: only floating dtypes have gradients", x, name_of(dtype));
  const Tensor y = kernels::cast(x, dtype);
  if (trace::on()) trace::report("cast", {x}, {y}, {{"dtype", name_of(dtype)}});
  return record("cast", {x}, y, [from = x.dtype()](const Tensor& dy) {
    return Gradients{kernels::cast(dy, from)};
  });
}

Tensor dropout(const Tensor& x, double p, const RandomKey& key, const DrawPlace& place) {
  HEED_CHECK(p >= 0.0 && p < 1.0, "dropout: p = {} is not in [0, 1)", p);
  if (p == 0.0) return x;
  const Tensor y = kernels::dropout(x, p, key, place);
  if (trace::on()) trace::report("dropout", {x}, {y});
  return record("dropout", {x}, y, [p, key, place](const Tensor& dy) {
    return Gradients{kernels::dropout(dy, p, key, place)};
  });
}

Tensor stop_gradient(const Tensor& x) { return x.detach(); }

}  // namespace heed
