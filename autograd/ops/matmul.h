// Differentiable matrix products.
#pragma once

#include "autograd/tape.h"
#include "kernels/matmul/activation.h"

namespace heed {

/// a [..., M, K] x b [..., K, N] -> [..., M, N]; leading dimensions broadcast, operands may be
/// strided (a transposed view costs nothing). Products of bf16 accumulate in f32.
Tensor matmul(const Tensor& a, const Tensor& b);

/// activation(x weight^T + bias): x [..., I], weight [O, I], bias [O] or undefined -> [..., O] in
/// x's dtype. A weight of another floating dtype (f32 master weights under bf16 activations) is
/// rounded for the product; its gradient comes in its own dtype. Bias and activation are fused into
/// the product.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              Activation activation = Activation::none);

}  // namespace heed
