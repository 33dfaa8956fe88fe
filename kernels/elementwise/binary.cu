#include "kernels/elementwise/map_elements.cuh"

namespace heed::kernels::cuda {
namespace {

DeviceMapFn forward(Binary op) {
  switch (op) {
    case Binary::add:
      return map_with<2, 1, Forward2<on_device::Add>>;
    case Binary::sub:
      return map_with<2, 1, Forward2<on_device::Sub>>;
    case Binary::mul:
      return map_with<2, 1, Forward2<on_device::Mul>>;
    case Binary::div:
      return map_with<2, 1, Forward2<on_device::Div>>;
    case Binary::maximum:
      return map_with<2, 1, Forward2<on_device::Maximum>>;
    case Binary::minimum:
      return map_with<2, 1, Forward2<on_device::Minimum>>;
    case Binary::pow:
      return map_with<2, 1, Forward2<on_device::Power>>;
  }
  heed::cuda::fail_op("no such function");
}

DeviceMapFn backward(Binary op) {
  switch (op) {
    case Binary::maximum:
      return map_with<3, 2, BothGradients<on_device::Maximum>>;
    case Binary::minimum:
      return map_with<3, 2, BothGradients<on_device::Minimum>>;
    case Binary::pow:
      return map_with<3, 2, BothGradients<on_device::Power>>;
    default:
      heed::cuda::fail_op("its gradients have kernels of their own");
  }
}

DeviceMapFn div_denominator() { return map_with<3, 1, Forward3<on_device::DivDenominator>>; }
DeviceMapFn swiglu() { return map_with<2, 1, Forward2<on_device::SwiGlu>>; }
DeviceMapFn swiglu_backward() { return map_with<3, 2, BothGradients<on_device::SwiGlu>>; }

}  // namespace

void provide_binary() {
  binary_cuda.provide(forward);
  binary_backward_cuda.provide(backward);
  div_denominator_cuda.provide(div_denominator);
  swiglu_cuda.provide(swiglu);
  swiglu_backward_cuda.provide(swiglu_backward);
}

}  // namespace heed::kernels::cuda
