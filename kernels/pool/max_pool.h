// Max pooling, channels last.
#pragma once

#include <utility>

#include "core/tensor.h"

namespace heed::kernels {

/// Windows for each spatial dimension (one to three of them).
struct PoolGeometry {
  Shape kernel, stride, padding, dilation;
};

/// The extent that pooling leaves: (in + 2 padding - dilation (kernel - 1) - 1) / stride + 1,
/// rounded up when `ceil` (then no window begins beyond the far padding). Throws naming `op` when
/// the geometry does not fit dimension d.
int64_t pooled_extent(int64_t in, const PoolGeometry& geometry, int d, bool ceil, const char* op);

/// x [B, in..., C] (f32, bf16, f64) -> the largest of each window [B, out..., C] and its pixel in
/// row-major order over in... (i32): of equals the first, of NaNs the first. Padding is -infinity;
/// a window that lies in it entirely has pixel -1.
std::pair<Tensor, Tensor> max_pool(const Tensor& x, const PoolGeometry& geometry, bool ceil);

/// dx [B, in..., C] of `shape`: to each pixel the sum of the dy of those windows whose largest it
/// is, in the order of the windows.
Tensor max_pool_backward(const Tensor& dy, const Tensor& pixel, const Shape& shape,
                         const PoolGeometry& geometry);

}  // namespace heed::kernels
