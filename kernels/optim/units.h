// Gradients bounded by the size of what they move, output by output.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// gradient *= min(1, factor max(|p|, eps) / |gradient|) for each unit, in place: a row of
/// dimension 0, or the whole tensor below two dimensions. Both row-major floating, of one shape.
/// Norms are f64. Bumps the gradient's version.
void clip_units(const Tensor& parameter, const Tensor& gradient, double factor, double eps);

}  // namespace heed::kernels
