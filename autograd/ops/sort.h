// Differentiable sorting. Orders are total and stable: equal values by ascending index, NaN above
// every number. Indices are i64 and have no gradient; that of the values goes to where they came
// from.
#pragma once

#include <utility>

#include "autograd/tape.h"

namespace heed {

/// {values, indices} of the k largest (or smallest) elements along dim, sorted; k in [0, extent].
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int dim = -1, bool largest = true);

/// {values, indices} along dim.
std::pair<Tensor, Tensor> sort(const Tensor& x, int dim = -1, bool descending = false);

/// The indices of sort alone.
Tensor argsort(const Tensor& x, int dim = -1, bool descending = false);

}  // namespace heed
