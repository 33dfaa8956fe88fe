// Functions of one element, and their derivatives.
#pragma once

#include "core/tensor.h"
#include "kernels/elementwise/functions.h"
#include "kernels/elementwise/map.h"

namespace heed::kernels {

const char* name_of(Unary op);

/// y = op(x), row-major, in x's dtype (f32, bf16 computed in f32, f64).
Tensor unary(Unary op, const Tensor& x);

/// The gradient of x; `saved` is y where saves_output(op), else x.
Tensor unary_backward(Unary op, const Tensor& dy, const Tensor& saved);
bool saves_output(Unary op);

/// The functions of a row of elements behind these, for kernels that fuse them: inputs x, and dy
/// and saved.
RowFn unary_row(Unary op, DType dtype);
RowFn unary_backward_row(Unary op, DType dtype);

}  // namespace heed::kernels
