// One image's block of channels, as depthwise.cpp's SIMD functions take it.
#pragma once

#include <cstdint>

namespace heed::kernels {

constexpr int64_t kDepthwiseBlock = 16;  // channels of a block: 64 bytes of f32

/// A padded buffer [rows, columns, 16] in f32, a kernel of `taps_y` x `taps_x` that moves over it,
/// and results of `out_y` x `out_x` pixels.
struct DepthwiseBlock {
  int64_t rows, columns;
  int64_t taps_y, taps_x, stride_y, stride_x, dilation_y, dilation_x;
  int64_t out_y, out_x;
  int64_t channels;  ///< that count, at most 16
  int64_t pitch;     ///< elements from a pixel of the image to the next
};

/// How an image lies in the buffer: pixel (y, x) at (y step_y + first_y, x step_x + first_x), left
/// out where that is outside.
struct DepthwisePlace {
  int64_t image_y, image_x, first_y, first_x, step_y, step_x;
};

}  // namespace heed::kernels
