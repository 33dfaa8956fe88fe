// What max_pool.cpp's SIMD functions work on: the pixels of a window, or the windows of a pixel.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heed::kernels {

struct PoolTaps {
  const int64_t* number;  ///< of the pixels, or of the windows, in row-major order
  size_t count;
  int64_t channels;
};

}  // namespace heed::kernels
