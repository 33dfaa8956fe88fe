// An activation by itself, where a product cannot carry it as its epilogue.
#pragma once

#include "autograd/tape.h"
#include "kernels/matmul/activation.h"

namespace heed::nn {

/// activation(x), differentiable.
Tensor activate(const Tensor& x, Activation activation);

}  // namespace heed::nn
