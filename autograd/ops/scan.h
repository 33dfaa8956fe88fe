// Differentiable scans along one dimension (negative ones count from the end).
#pragma once

#include <utility>

#include "autograd/tape.h"

namespace heed {

/// y[i] = x[0] + ... + x[i] along dim; from the other end when `reverse`.
Tensor cumsum(const Tensor& x, int dim, bool reverse = false);
/// The largest of x[0..i] along dim (of x[i..n-1] when `reverse`), and its indices (i64). The
/// gradient of each goes to the element it came from: of equals, the one met first.
std::pair<Tensor, Tensor> cummax(const Tensor& x, int dim, bool reverse = false);
/// y[i] = log(e^x[0] + ... + e^x[i]) along dim; -infinity while every x is.
Tensor logcumsumexp(const Tensor& x, int dim);
/// Causal windows: the sum of the `window` latest elements x[i-window+1..i] along dim, fewer at the
/// beginning; and their mean, by the number of elements that there are.
Tensor moving_sum(const Tensor& x, int dim, int64_t window);
Tensor moving_mean(const Tensor& x, int dim, int64_t window);

}  // namespace heed
