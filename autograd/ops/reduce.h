// Differentiable reductions. Sums of f32 and bf16 are kept in f32 with a fixed order.
#pragma once

#include <utility>
#include <vector>

#include "autograd/tape.h"

namespace heed {

/// Over the given dimensions (all, when empty).
Tensor sum(const Tensor& x, const std::vector<int>& dims = {}, bool keepdim = false);
Tensor mean(const Tensor& x, const std::vector<int>& dims = {}, bool keepdim = false);
/// Largest element along dim; the gradient goes to the first of equals.
Tensor max(const Tensor& x, int dim, bool keepdim = false);
/// Smallest element along dim; the gradient goes to the first of equals.
Tensor min(const Tensor& x, int dim, bool keepdim = false);
/// The same with the indices (i64) of the elements along dim, which have no gradient.
std::pair<Tensor, Tensor> max_with_indices(const Tensor& x, int dim, bool keepdim = false);
std::pair<Tensor, Tensor> min_with_indices(const Tensor& x, int dim, bool keepdim = false);
/// Indices (i64) of the largest (smallest) elements along dim, the first of equals; no gradient.
Tensor argmax(const Tensor& x, int dim);
Tensor argmin(const Tensor& x, int dim);

/// The sum of squares of x - mean(x) over the given dimensions (all, when empty), divided by their
/// count less `correction`, which must leave something. 1 is the unbiased estimate.
Tensor var(const Tensor& x, const std::vector<int>& dims = {}, double correction = 1.0,
           bool keepdim = false);
/// The square root of var; its gradient is 0 where it is 0.
Tensor standard_deviation(const Tensor& x, const std::vector<int>& dims = {},
                          double correction = 1.0, bool keepdim = false);
/// log sum e^x over the given dimensions (all, when empty); of -infinities alone -infinity, with
/// gradient 0.
Tensor logsumexp(const Tensor& x, const std::vector<int>& dims = {}, bool keepdim = false);
/// The square root of the sum of squares over the given dimensions (all, when empty); its gradient
/// is 0 where it is 0.
Tensor l2_norm(const Tensor& x, const std::vector<int>& dims = {}, bool keepdim = false);

}  // namespace heed
