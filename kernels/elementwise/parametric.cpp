// The parameters are inputs that are one number each (map.h).
#include "kernels/elementwise/parametric.h"

#include "core/op_call.h"
#include "kernels/elementwise/map.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/parametric.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/elementwise/activations-inl.h"
#include "kernels/elementwise/map_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {
namespace {

template <class Op, class T>
void backward_elements(const Row& row) {
  map_row<T, 4, 1>(
      row, [](const auto& x, auto& y) HWY_ATTR { y[0] = Op::backward(x[0], x[1], x[2], x[3]); });
}

template <class Fn>
auto with_parametric(Parametric op, Fn&& fn) {
  switch (op) {
    case Parametric::softplus:
      return fn(Softplus());
    case Parametric::elu:
      return fn(Elu());
    case Parametric::leaky_relu:
      return fn(LeakyRelu());
    case Parametric::clamp:
      return fn(Clamp());
    case Parametric::pow:
      return fn(Pow());
  }
  fail("corrupt parametric op {}", static_cast<int>(op));
}

RowFn parametric_row(Parametric op, DType dtype) {
  return with_parametric(op, [&](auto functor) {
    return dispatch_floating(dtype, name_of(op), [&](auto type) -> RowFn {
      return ternary_row<decltype(functor), decltype(type)>;
    });
  });
}

RowFn parametric_backward_row(Parametric op, DType dtype) {
  return with_parametric(op, [&](auto functor) {
    return dispatch_floating(dtype, name_of(op), [&](auto type) -> RowFn {
      return backward_elements<decltype(functor), decltype(type)>;
    });
  });
}

}  // namespace
}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<DeviceMapFn(Parametric)> parametric_cuda, parametric_backward_cuda;

HWY_EXPORT(parametric_row);
HWY_EXPORT(parametric_backward_row);

const char* name_of(Parametric op) {
  constexpr const char* kNames[] = {"softplus", "elu", "leaky_relu", "clamp", "pow"};
  return kNames[static_cast<size_t>(op)];
}

Tensor parametric(Parametric op, const Tensor& x, double a, double b) {
  const MapFunction fn = x.device().is_cuda() ? MapFunction(parametric_cuda({name_of(op), x}, op))
                                              : HWY_DYNAMIC_DISPATCH(parametric_row)(op, x.dtype());
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  map_rows(name_of(op), fn, {x, Tensor::scalar(a), Tensor::scalar(b)}, {y});
  return y;
}

Tensor parametric_backward(Parametric op, const Tensor& dy, const Tensor& x, double a, double b) {
  const MapFunction fn = dy.device().is_cuda()
                             ? MapFunction(parametric_backward_cuda({name_of(op), dy}, op))
                             : HWY_DYNAMIC_DISPATCH(parametric_backward_row)(op, dy.dtype());
  const Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  map_rows(name_of(op), fn, {dy, x, Tensor::scalar(a), Tensor::scalar(b)}, {dx});
  return dx;
}

}  // namespace heed::kernels
#endif
