// Differentiable views and rearrangements. All take negative dimensions.
#pragma once

#include <vector>

#include "autograd/tape.h"

namespace heed {

/// The same elements under another shape (one extent may be -1). A view where strides allow, else a
/// copy.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor transpose(const Tensor& x, int a, int b);
Tensor permute(const Tensor& x, const std::vector<int>& order);
/// x[begin:end:step] along dim.
Tensor slice(const Tensor& x, int dim, int64_t begin, int64_t end, int64_t step = 1);
/// x[index] along dim, which disappears.
Tensor select(const Tensor& x, int dim, int64_t index);
/// Repeats extents of 1 (and new leading ones) without a copy.
Tensor expand(const Tensor& x, const Shape& shape);
Tensor squeeze(const Tensor& x, int dim);
Tensor unsqueeze(const Tensor& x, int dim);
/// Joins along an existing dimension.
Tensor concat(const std::vector<Tensor>& parts, int dim);
/// Joins along a new dimension.
Tensor stack(const std::vector<Tensor>& parts, int dim);
/// Cuts along dim into views of the given sizes (which add up to the extent).
std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int dim);
/// Row-major memory; x itself when it is that already.
Tensor contiguous(const Tensor& x);

}  // namespace heed
