// Comparisons, logic and selection: results of bool, or chosen by bool.
#pragma once

#include "core/tensor.h"
#include "kernels/elementwise/functions.h"

namespace heed::kernels {

const char* name_of(Compare op);

/// a op b as bool, broadcast and row-major. Equal dtypes (any); with NaN, only ne holds.
Tensor compare(Compare op, const Tensor& a, const Tensor& b);
/// The same with a number, rounded to f32 beside f32, bf16 and f16, exact beside the others.
Tensor compare(Compare op, const Tensor& a, double b);

/// Of bool tensors, broadcast.
Tensor logical(Logical op, const Tensor& a, const Tensor& b);

/// a where cond (bool) holds, else b; all three broadcast. a and b have one dtype (any).
Tensor select(const Tensor& cond, const Tensor& a, const Tensor& b);

}  // namespace heed::kernels
