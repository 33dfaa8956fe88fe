// What separable.cpp's SIMD functions sum: rows of pixels of `channels` neighbouring elements.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heed::kernels {

/// The entries of one result row: those of the outer axes, the same for all of its pixels, and for
/// pixel o the entries start[o] ... start[o + 1] of the innermost axis.
struct RowTaps {
  const int64_t* row_offset;  ///< elements from the image's first one
  const double* row_weight;
  size_t rows;
  const int64_t* start;
  const int64_t* index;  ///< pixels along the innermost axis
  const double* weight;
  int64_t pixels, channels;
};

}  // namespace heed::kernels
