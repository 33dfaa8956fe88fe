// Functions of two elements (and three), with broadcasting.
#pragma once

#include <utility>

#include "core/tensor.h"
#include "kernels/elementwise/functions.h"

namespace heed::kernels {

const char* name_of(Binary op);

/// The dtype of a result of a and b: the wider of the two floating ones, except that a
/// 0-dimensional operand never widens the other. Throws naming `op` unless both are floating.
DType promote(const Tensor& a, const Tensor& b, const char* op);

/// a op b, broadcast and row-major, in the promoted dtype.
Tensor binary(Binary op, const Tensor& a, const Tensor& b);
/// The same with a number.
Tensor binary(Binary op, const Tensor& a, double b);

/// out = a + b: equal dtypes, a and b broadcast to out's shape. `out` has contiguous rows and may
/// be one of the operands.
void add_into(const Tensor& a, const Tensor& b, const Tensor& out);

/// The gradient of b in y = a / b: -dy y / b. Equal dtypes; b broadcasts.
Tensor div_denominator_gradient(const Tensor& dy, const Tensor& y, const Tensor& b);

/// Both gradients of maximum, minimum or pow, of the broadcast shape: equal dtypes, a and b
/// broadcast to dy's shape.
std::pair<Tensor, Tensor> binary_backward(Binary op, const Tensor& dy, const Tensor& a,
                                          const Tensor& b);

/// silu(gate) * up. Equal shapes and dtypes, any strides.
Tensor swiglu(const Tensor& gate, const Tensor& up);
/// Writes both gradients; dgate and dup may be strided views whose rows are contiguous.
void swiglu_backward(const Tensor& dy, const Tensor& gate, const Tensor& up, const Tensor& dgate,
                     const Tensor& dup);

}  // namespace heed::kernels
