// What channel_norm.cpp's SIMD functions work on: `rows` rows of C channels of one sample, pointers
// to the first of them; what is per channel is [C] of the accumulation type.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace heed::kernels {

struct ChannelRows {
  DType dtype;
  int64_t channels, rows;
  const void* x = nullptr;       ///< dtype
  const void* dy = nullptr;      ///< dtype
  const void* mean = nullptr;    ///< per channel
  const void* scale = nullptr;   ///< per channel
  const void* slope = nullptr;   ///< per channel, backward: of x - mean; null for 0
  const void* offset = nullptr;  ///< per channel; null for 0
  void* out = nullptr;           ///< dtype
  void* first = nullptr;         ///< per channel: the mean, or the sum of dy
  void* second = nullptr;        ///< per channel: squares about the mean, or sum of dy (x - mean)
};

}  // namespace heed::kernels
