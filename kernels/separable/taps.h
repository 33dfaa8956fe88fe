// What separable.cpp's SIMD functions sum: pixels of `channels` neighbouring elements.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heed::kernels {

struct Taps {
  const int64_t* offset;  ///< elements from the image's first one
  const double* weight;
  size_t count;
  int64_t channels;
};

}  // namespace heed::kernels
