// Transposition of matrices of any element type by SIMD; one thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heed::kernels {

/// to[r, c] = from[c, r] for r < rows, c < columns, in elements of `size` bytes (1, 2, 4 or 8).
/// from is contiguous along r and steps from_step elements along c; to is contiguous along c and
/// steps to_step along r. The two do not overlap.
using TransposeFn = void (*)(const void* from, int64_t from_step, void* to, int64_t to_step,
                             int64_t rows, int64_t columns);
TransposeFn transpose_fn(size_t size);

}  // namespace heed::kernels
