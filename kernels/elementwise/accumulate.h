// Adding tensors of equal shape: what the tape needs to sum gradients.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// sum += more. Equal shapes; dtypes may differ (the sum keeps its own). Bumps sum's version.
void add_inplace(const Tensor& sum, const Tensor& more);
/// a + b in a's dtype.
Tensor add_out_of_place(const Tensor& a, const Tensor& b);
/// x in row-major order and the wanted dtype; x itself when it is that already.
Tensor contiguous_as(const Tensor& x, DType dtype);

}  // namespace heed::kernels
