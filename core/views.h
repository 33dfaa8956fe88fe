// Views of a tensor's memory, without gradients: what kernels and file code use. They never copy
// and never record; models use the differentiable functions of the same names in namespace heed.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace heed::views {

/// Any view; the offset counts from x's first element. Bounds are the caller's business.
Tensor as_strided(const Tensor& x, const Shape& shape, const Shape& strides, int64_t offset = 0);

/// The same elements under another shape, one extent may be -1; throws when that needs a copy.
Tensor reshape(const Tensor& x, const Shape& shape);
/// Whether reshape works without a copy; the strides it would have go to *strides.
bool can_reshape(const Tensor& x, const Shape& shape, Shape* strides);
/// Fills in a -1 and checks the element count.
Shape infer_shape(const Tensor& x, const Shape& shape, const char* op);

Tensor transpose(const Tensor& x, int a, int b);
Tensor permute(const Tensor& x, const std::vector<int>& order);
/// x[begin:end:step] along dim; negative bounds count from the end.
Tensor slice(const Tensor& x, int dim, int64_t begin, int64_t end, int64_t step = 1);
/// x[index] along dim, which disappears.
Tensor select(const Tensor& x, int dim, int64_t index);
/// Repeats extents of 1 (and new leading ones) with stride 0.
Tensor expand(const Tensor& x, const Shape& shape);
Tensor squeeze(const Tensor& x, int dim);
Tensor unsqueeze(const Tensor& x, int dim);

}  // namespace heed::views
