// Functions of one element and up to two numbers, and their derivatives.
#pragma once

#include "core/tensor.h"
#include "kernels/elementwise/functions.h"

namespace heed::kernels {

const char* name_of(Parametric op);

/// y = op(x; a, b), row-major, in x's dtype (f32, bf16 computed in f32, f64).
Tensor parametric(Parametric op, const Tensor& x, double a, double b = 0.0);

/// The gradient of x, which was saved.
Tensor parametric_backward(Parametric op, const Tensor& dy, const Tensor& x, double a,
                           double b = 0.0);

}  // namespace heed::kernels
