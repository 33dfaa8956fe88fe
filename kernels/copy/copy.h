// Moving elements between layouts and dtypes.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

/// Writes src into dst, converting; src broadcasts to dst's shape, both may have any strides, and
/// they must not overlap. A float becomes the nearest integer towards zero, saturated (NaN: 0), and
/// a bool by comparison with zero. Bumps dst's version.
void copy(const Tensor& src, const Tensor& dst);

/// Writes one value everywhere. Bumps the version.
void fill(const Tensor& dst, double value);

/// Row-major memory; x itself when it is that already.
Tensor contiguous(const Tensor& x);

/// Another dtype; x itself when it has that one. A new result is row-major.
Tensor cast(const Tensor& x, DType dtype);

/// Row-major memory and the wanted dtype; x itself when it is that already.
Tensor contiguous_as(const Tensor& x, DType dtype);

}  // namespace heed::kernels
