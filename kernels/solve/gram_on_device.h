// Conjugate gradients on a device: whole products, all rows of all systems at once. Operands are
// those of gram_solve.h, prepared: row-major, of f32 or f64, measured from the first key where
// there is a centre.
#pragma once

#include "kernels/solve/gram_solve.h"

namespace heed::kernels {

Tensor gram_solved_on_device(const GramSystem& s, const Tensor& side,
                             const ConjugateGradientOptions& options);
/// With x the solution and u that of the second solve.
GramGradients gram_gradients_on_device(const GramSystem& s, const Tensor& x, const Tensor& u);

}  // namespace heed::kernels
