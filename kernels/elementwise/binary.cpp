#include "kernels/elementwise/binary.h"

#include "core/op_call.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/map.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/binary.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/elementwise/map_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {
namespace {

RowFn binary_row_of(Binary op, DType dtype) {
  return dispatch_floating(dtype, name_of(op), [&](auto type) -> RowFn {
    using T = decltype(type);
    switch (op) {
      case Binary::add:
        return binary_row<Add, T>;
      case Binary::sub:
        return binary_row<Sub, T>;
      case Binary::mul:
        return binary_row<Mul, T>;
      case Binary::div:
        return binary_row<Div, T>;
      case Binary::maximum:
        return binary_row<Maximum, T>;
      case Binary::minimum:
        return binary_row<Minimum, T>;
      case Binary::pow:
        return binary_row<Power, T>;
    }
    return nullptr;
  });
}

RowFn div_denominator_row(DType dtype) {
  return dispatch_floating(
      dtype, "div", [](auto type) -> RowFn { return ternary_row<DivDenominator, decltype(type)>; });
}

RowFn swiglu_row(DType dtype) {
  return dispatch_floating(dtype, "swiglu",
                           [](auto type) -> RowFn { return binary_row<SwiGlu, decltype(type)>; });
}

template <class Op, class T>
void both_gradients(const Row& row) {
  map_row<T, 3, 2>(
      row, [](const auto& x, auto& y) HWY_ATTR { Op::backward(x[0], x[1], x[2], y[0], y[1]); });
}

RowFn swiglu_backward_row(DType dtype) {
  return dispatch_floating(
      dtype, "swiglu", [](auto type) -> RowFn { return both_gradients<SwiGlu, decltype(type)>; });
}

RowFn binary_backward_row(Binary op, DType dtype) {
  return dispatch_floating(dtype, name_of(op), [&](auto type) -> RowFn {
    using T = decltype(type);
    if (op == Binary::maximum) return both_gradients<Maximum, T>;
    if (op == Binary::minimum) return both_gradients<Minimum, T>;
    HEED_CHECK(op == Binary::pow, "{}: its gradients have kernels of their own", name_of(op));
    return both_gradients<Power, T>;
  });
}

}  // namespace
}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<DeviceMapFn(Binary)> binary_cuda, binary_backward_cuda;
DeviceKernel<DeviceMapFn()> div_denominator_cuda, swiglu_cuda, swiglu_backward_cuda;

HWY_EXPORT(binary_row_of);
HWY_EXPORT(div_denominator_row);
HWY_EXPORT(swiglu_row);
HWY_EXPORT(swiglu_backward_row);
HWY_EXPORT(binary_backward_row);

const char* name_of(Binary op) {
  constexpr const char* kNames[] = {"add", "sub", "mul", "div", "maximum", "minimum", "pow"};
  return kNames[static_cast<size_t>(op)];
}

DType promote(const Tensor& a, const Tensor& b, const char* op) {
  for (const Tensor* x : {&a, &b}) {
    HEED_CHECK(is_floating(x->dtype()), "{}: needs floating operands, got {} and {}", op, a, b);
  }
  if (a.rank() == 0 && b.rank() > 0) return b.dtype();
  if (b.rank() == 0 && a.rank() > 0) return a.dtype();
  return size_of(a.dtype()) >= size_of(b.dtype()) ? a.dtype() : b.dtype();
}

namespace {

MapFunction function_of(Binary op, const Tensor& out) {
  if (out.device().is_cuda()) return binary_cuda({name_of(op), out}, op);
  return HWY_DYNAMIC_DISPATCH(binary_row_of)(op, out.dtype());
}

Tensor run(Binary op, const Tensor& a, const Tensor& b, DType dtype) {
  // a number on the CPU goes with anything
  const Device device = a.rank() == 0 && a.device().is_cpu() ? b.device() : a.device();
  const Tensor y =
      Tensor::empty(broadcast_shapes(a.shape(), b.shape(), name_of(op)), dtype, device);
  // a single number is read in its own precision
  map_rows(name_of(op), function_of(op, y),
           {a.rank() == 0 ? a : cast(a, dtype), b.rank() == 0 ? b : cast(b, dtype)}, {y});
  return y;
}

}  // namespace

Tensor binary(Binary op, const Tensor& a, const Tensor& b) {
  return run(op, a, b, promote(a, b, name_of(op)));
}

Tensor binary(Binary op, const Tensor& a, double b) {
  return run(op, a, Tensor::scalar(b), a.dtype());
}

void add_into(const Tensor& a, const Tensor& b, const Tensor& out) {
  map_rows("add", function_of(Binary::add, out), {a, b}, {out});
}

Tensor div_denominator_gradient(const Tensor& dy, const Tensor& y, const Tensor& b) {
  const MapFunction row = dy.device().is_cuda()
                              ? MapFunction(div_denominator_cuda({"div", dy}))
                              : HWY_DYNAMIC_DISPATCH(div_denominator_row)(dy.dtype());
  const Tensor db = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  map_rows("div", row, {dy, y, b}, {db});
  return db;
}

std::pair<Tensor, Tensor> binary_backward(Binary op, const Tensor& dy, const Tensor& a,
                                          const Tensor& b) {
  const MapFunction row = dy.device().is_cuda()
                              ? MapFunction(binary_backward_cuda({name_of(op), dy}, op))
                              : HWY_DYNAMIC_DISPATCH(binary_backward_row)(op, dy.dtype());
  const Tensor da = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  const Tensor db = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  map_rows(name_of(op), row, {dy, a, b}, {da, db});
  return {da, db};
}

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  HEED_CHECK(gate.shape() == up.shape() && gate.dtype() == up.dtype(), "swiglu: gate {}, up {}",
             gate, up);
  const MapFunction row = gate.device().is_cuda() ? MapFunction(swiglu_cuda({"swiglu", gate}))
                                                  : HWY_DYNAMIC_DISPATCH(swiglu_row)(gate.dtype());
  const Tensor y = Tensor::empty(gate.shape(), gate.dtype(), gate.device());
  map_rows("swiglu", row, {gate, up}, {y});
  return y;
}

void swiglu_backward(const Tensor& dy, const Tensor& gate, const Tensor& up, const Tensor& dgate,
                     const Tensor& dup) {
  const MapFunction row = dy.device().is_cuda()
                              ? MapFunction(swiglu_backward_cuda({"swiglu", dy}))
                              : HWY_DYNAMIC_DISPATCH(swiglu_backward_row)(dy.dtype());
  map_rows("swiglu", row, {dy, gate, up}, {dgate, dup});
}

}  // namespace heed::kernels
#endif
