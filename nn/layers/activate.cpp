#include "nn/layers/activate.h"

#include "autograd/ops/elementwise.h"

namespace heed::nn {

Tensor activate(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return relu(x);
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh:
      return gelu_tanh(x);
    case Activation::silu:
      return silu(x);
  }
  fail("activate: unknown activation");
}

}  // namespace heed::nn
