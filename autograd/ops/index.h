// Differentiable indexing.
#pragma once

#include "autograd/tape.h"

namespace heed {

/// Rows of weight [V, C] at ids [...] (i64 or i32) -> [..., C] in `dtype`. An id outside [0, V) is
/// an error that names it and its position. The gradient is summed in a fixed order.
Tensor embedding(const Tensor& weight, const Tensor& ids, DType dtype = DType::f32);

/// Rows x[index] along dim: index [K] (i64 or i32).
Tensor index_select(const Tensor& x, int dim, const Tensor& index);

}  // namespace heed
