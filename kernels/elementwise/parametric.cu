#include "kernels/elementwise/map_elements.cuh"

namespace heed::kernels::cuda {
namespace {

template <class Fn>
DeviceMapFn with_functor(Parametric op, Fn fn) {
  switch (op) {
    case Parametric::softplus:
      return fn(on_device::Softplus());
    case Parametric::elu:
      return fn(on_device::Elu());
    case Parametric::leaky_relu:
      return fn(on_device::LeakyRelu());
    case Parametric::clamp:
      return fn(on_device::Clamp());
    case Parametric::pow:
      return fn(on_device::Pow());
  }
  heed::cuda::fail_op("no such function");
}

DeviceMapFn forward(Parametric op) {
  return with_functor(
      op, [](auto functor) -> DeviceMapFn { return map_with<3, 1, Forward3<decltype(functor)>>; });
}

DeviceMapFn backward(Parametric op) {
  return with_functor(
      op, [](auto functor) -> DeviceMapFn { return map_with<4, 1, Backward4<decltype(functor)>>; });
}

}  // namespace

void provide_parametric() {
  parametric_cuda.provide(forward);
  parametric_backward_cuda.provide(backward);
}

}  // namespace heed::kernels::cuda
