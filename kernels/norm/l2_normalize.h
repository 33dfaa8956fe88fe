// Vectors of unit length along a dimension.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

struct L2Normalized {
  Tensor out;      ///< x's shape and dtype, row-major
  Tensor inverse;  ///< 1 / max(|x|, eps), f32 (f64 for f64); x's shape with extent 1 along dim
};

/// x / max(|x|, eps) along dim (f32, bf16, f64).
L2Normalized l2_normalize(const Tensor& x, int dim, double eps);

/// With r the saved inverse: dx = r (dy - x r^2 sum(dy x)), or r dy where the length was below eps.
Tensor l2_normalize_backward(const Tensor& dy, const Tensor& x, const Tensor& inverse, int dim,
                             double eps);

}  // namespace heed::kernels
