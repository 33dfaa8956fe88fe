// Comparisons and logic (results of bool, without gradients), and selection by bool. Operands
// broadcast by NumPy's rule.
#pragma once

#include "autograd/tape.h"

namespace heed {

/// Elements compared: bool. Floating operands of different dtypes are compared in the wider one,
/// others must have one dtype. With NaN only ne holds.
Tensor eq(const Tensor& a, const Tensor& b);
Tensor ne(const Tensor& a, const Tensor& b);
Tensor lt(const Tensor& a, const Tensor& b);
Tensor le(const Tensor& a, const Tensor& b);
Tensor gt(const Tensor& a, const Tensor& b);
Tensor ge(const Tensor& a, const Tensor& b);
/// The same with a number (rounded to f32 beside f32 and bf16).
Tensor eq(const Tensor& x, double number);
Tensor ne(const Tensor& x, double number);
Tensor lt(const Tensor& x, double number);
Tensor le(const Tensor& x, double number);
Tensor gt(const Tensor& x, double number);
Tensor ge(const Tensor& x, double number);

/// Of bool tensors.
Tensor logical_not(const Tensor& x);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);

/// a where cond (bool) holds, else b, in the dtype that arithmetic on a and b would have. What is
/// not chosen has gradient 0, and its infinities and NaNs do not leak.
Tensor where(const Tensor& cond, const Tensor& a, const Tensor& b);
/// x with `value` where mask (bool) holds; mask broadcasts to x's shape.
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value);

}  // namespace heed
