// Scans: running results along one dimension, and what their gradients need. x floating (f32, bf16,
// f64), any layout; results are row-major, in x's dtype. Running values are kept in f64.
#pragma once

#include <utility>

#include "core/tensor.h"

namespace heed::kernels {

/// y[i] = x[0] + ... + x[i] along dim; from the other end when `reverse`.
Tensor cumulative_sum(const Tensor& x, int dim, bool reverse = false);

/// y[i] = the largest of x[0..i] (x[i..n-1] when `reverse`) along dim, and where it stands (i64):
/// of equals the one that the scan meets first. NaN stays once met.
std::pair<Tensor, Tensor> cumulative_max(const Tensor& x, int dim, bool reverse = false);
/// dx[index[i]] += dy[i] along dim, in order of i.
Tensor add_along(const Tensor& dy, const Tensor& index, int dim);

/// y[i] = log(e^x[0] + ... + e^x[i]) along dim.
Tensor log_cumulative_sum_exp(const Tensor& x, int dim);
/// dx[j] = sum over i >= j of dy[i] e^(x[j] - y[i]).
Tensor log_cumulative_sum_exp_backward(const Tensor& dy, const Tensor& x, const Tensor& y, int dim);

/// y[i] = the sum of the `window` latest of x[0..i] along dim; the mean of those that exist when
/// `mean`. O(n) for any window, and exact: nothing is subtracted.
Tensor moving_sum(const Tensor& x, int dim, int64_t window, bool mean);
Tensor moving_sum_backward(const Tensor& dy, int dim, int64_t window, bool mean);

}  // namespace heed::kernels
