// What follows a product while its tile is still in cache.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "kernels/elementwise/functions.h"
#include "kernels/matmul/activation.h"

namespace heed::kernels {

/// The elementwise function of an activation that is not none.
Unary unary_of(Activation activation);

/// to[r][c] = activation(from[r][c]) for a tile of rows x cols; `from` may be `to`. Strides in
/// elements.
void activate_tile(Activation activation, DType dtype, int64_t rows, int64_t cols, const void* from,
                   int64_t from_stride, void* to, int64_t to_stride);

}  // namespace heed::kernels
