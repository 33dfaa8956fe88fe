// Adding tensors of equal shape: what the tape needs to sum gradients.
#pragma once

#include "core/tensor.h"
#include "kernels/copy/copy.h"  // IWYU pragma: export

namespace heed::kernels {

/// sum += more. Equal shapes, sum row-major; dtypes may differ (the sum keeps its own). Bumps sum's
/// version.
void add_inplace(const Tensor& sum, const Tensor& more);
/// a + b in a's dtype, row-major.
Tensor add_out_of_place(const Tensor& a, const Tensor& b);

}  // namespace heed::kernels
