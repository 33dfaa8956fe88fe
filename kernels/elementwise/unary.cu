#include "kernels/elementwise/map_elements.cuh"

namespace heed::kernels::cuda {
namespace {

template <class Fn>
DeviceMapFn with_functor(Unary op, Fn fn) {
  switch (op) {
    case Unary::neg:
      return fn(on_device::Neg());
    case Unary::exp:
      return fn(on_device::Exp());
    case Unary::log:
      return fn(on_device::Log());
    case Unary::sqrt:
      return fn(on_device::Sqrt());
    case Unary::rsqrt:
      return fn(on_device::Rsqrt());
    case Unary::square:
      return fn(on_device::Square());
    case Unary::tanh:
      return fn(on_device::Tanh());
    case Unary::sigmoid:
      return fn(on_device::Sigmoid());
    case Unary::relu:
      return fn(on_device::Relu());
    case Unary::silu:
      return fn(on_device::Silu());
    case Unary::gelu:
      return fn(on_device::Gelu());
    case Unary::gelu_tanh:
      return fn(on_device::GeluTanh());
    case Unary::abs:
      return fn(on_device::Abs());
    case Unary::sign:
      return fn(on_device::Sign());
    case Unary::sin:
      return fn(on_device::Sin());
    case Unary::cos:
      return fn(on_device::Cos());
    case Unary::expm1:
      return fn(on_device::Expm1());
    case Unary::log1p:
      return fn(on_device::Log1p());
    case Unary::erf:
      return fn(on_device::Erf());
    case Unary::relu6:
      return fn(on_device::Relu6());
    case Unary::hard_sigmoid:
      return fn(on_device::HardSigmoid());
    case Unary::hard_swish:
      return fn(on_device::HardSwish());
  }
  heed::cuda::fail_op("no such function");
}

DeviceMapFn forward(Unary op) {
  return with_functor(
      op, [](auto functor) -> DeviceMapFn { return map_with<1, 1, Forward1<decltype(functor)>>; });
}

DeviceMapFn backward(Unary op) {
  return with_functor(
      op, [](auto functor) -> DeviceMapFn { return map_with<2, 1, Backward2<decltype(functor)>>; });
}

}  // namespace

void provide_unary() {
  unary_cuda.provide(forward);
  unary_backward_cuda.provide(backward);
}

}  // namespace heed::kernels::cuda
