// Systems with symmetric positive definite matrices, by Cholesky's factorisation.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// x of (a + a^T)/2 x = b: a [..., D, D], b [..., D, R], one dtype (f32, bf16, f64), any strides;
/// factorised in f64. Throws where a matrix is not positive definite, NaN included.
Tensor cholesky_solve(const Tensor& a, const Tensor& b);

}  // namespace heed::kernels
