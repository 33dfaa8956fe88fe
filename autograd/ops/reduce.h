// Differentiable reductions. Sums of f32 and bf16 are kept in f32 with a fixed order.
#pragma once

#include <vector>

#include "autograd/tape.h"

namespace heed {

/// Over the given dimensions (all, when empty).
Tensor sum(const Tensor& x, const std::vector<int>& dims = {}, bool keepdim = false);
Tensor mean(const Tensor& x, const std::vector<int>& dims = {}, bool keepdim = false);
/// Largest element along dim; the gradient goes to the first of equals.
Tensor max(const Tensor& x, int dim, bool keepdim = false);
/// Indices (i64) of the largest elements along dim, the first of equals; no gradient.
Tensor argmax(const Tensor& x, int dim);

}  // namespace heed
