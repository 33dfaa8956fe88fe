#include "kernels/elementwise/unary.h"

#include "core/op_call.h"
#include "kernels/elementwise/map.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise/unary.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/elementwise/activations-inl.h"
#include "kernels/elementwise/map_row-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::HWY_NAMESPACE {
namespace {

template <class Fn>
auto with_functor(Unary op, Fn&& fn) {
  switch (op) {
    case Unary::neg:
      return fn(Neg());
    case Unary::exp:
      return fn(Exp());
    case Unary::log:
      return fn(Log());
    case Unary::sqrt:
      return fn(Sqrt());
    case Unary::rsqrt:
      return fn(Rsqrt());
    case Unary::square:
      return fn(Square());
    case Unary::tanh:
      return fn(Tanh());
    case Unary::sigmoid:
      return fn(Sigmoid());
    case Unary::relu:
      return fn(Relu());
    case Unary::silu:
      return fn(Silu());
    case Unary::gelu:
      return fn(Gelu());
    case Unary::gelu_tanh:
      return fn(GeluTanh());
    case Unary::abs:
      return fn(Abs());
    case Unary::sign:
      return fn(Sign());
    case Unary::sin:
      return fn(Sin());
    case Unary::cos:
      return fn(Cos());
    case Unary::expm1:
      return fn(Expm1());
    case Unary::log1p:
      return fn(Log1p());
    case Unary::erf:
      return fn(Erf());
    case Unary::relu6:
      return fn(Relu6());
    case Unary::hard_sigmoid:
      return fn(HardSigmoid());
    case Unary::hard_swish:
      return fn(HardSwish());
  }
  fail("corrupt unary op {}", static_cast<int>(op));
}

RowFn forward_row(Unary op, DType dtype) {
  return with_functor(op, [&](auto functor) {
    return dispatch_floating(dtype, name_of(op), [&](auto type) -> RowFn {
      return unary_row<decltype(functor), decltype(type)>;
    });
  });
}

RowFn backward_row(Unary op, DType dtype) {
  return with_functor(op, [&](auto functor) {
    return dispatch_floating(dtype, name_of(op), [&](auto type) -> RowFn {
      return unary_backward_row<decltype(functor), decltype(type)>;
    });
  });
}

bool keeps_output(Unary op) {
  return with_functor(op, [](auto functor) { return decltype(functor)::kSavesOutput; });
}

}  // namespace
}  // namespace heed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<DeviceMapFn(Unary)> unary_cuda, unary_backward_cuda;

HWY_EXPORT(forward_row);
HWY_EXPORT(backward_row);
HWY_EXPORT(keeps_output);

const char* name_of(Unary op) {
  constexpr const char* kNames[] = {
      "neg",   "exp",   "log",  "sqrt",      "rsqrt",        "square",    "tanh", "sigmoid",
      "relu",  "silu",  "gelu", "gelu_tanh", "abs",          "sign",      "sin",  "cos",
      "expm1", "log1p", "erf",  "relu6",     "hard_sigmoid", "hard_swish"};
  return kNames[static_cast<size_t>(op)];
}

bool saves_output(Unary op) { return HWY_DYNAMIC_DISPATCH(keeps_output)(op); }

RowFn unary_row(Unary op, DType dtype) { return HWY_DYNAMIC_DISPATCH(forward_row)(op, dtype); }
RowFn unary_backward_row(Unary op, DType dtype) {
  return HWY_DYNAMIC_DISPATCH(backward_row)(op, dtype);
}

Tensor unary(Unary op, const Tensor& x) {
  const MapFunction fn = x.device().is_cuda() ? MapFunction(unary_cuda({name_of(op), x}, op))
                                              : unary_row(op, x.dtype());
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  map_rows(name_of(op), fn, {x}, {y});
  return y;
}

Tensor unary_backward(Unary op, const Tensor& dy, const Tensor& saved) {
  const MapFunction fn = dy.device().is_cuda()
                             ? MapFunction(unary_backward_cuda({name_of(op), dy}, op))
                             : unary_backward_row(op, dy.dtype());
  const Tensor dx = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  map_rows(name_of(op), fn, {dy, saved}, {dx});
  return dx;
}

}  // namespace heed::kernels
#endif
