// What channel_norm.cu works on: the pieces of channel_norm.cpp, all at once; pointers to the
// whole.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

enum class ChannelStep { moments, products, forward, backward };

struct ChannelPieces {
  DType dtype;
  int64_t samples, positions, channels;
  int64_t rows;                            ///< of a piece
  int64_t per_sample;                      ///< pieces
  const void *x = nullptr, *dy = nullptr;  ///< [samples, positions, channels] of dtype
  const void* mean = nullptr;    ///< [samples, channels] of the accumulation type, as all below
  const void* scale = nullptr;   ///< [samples, channels]
  const void* slope = nullptr;   ///< [samples, channels]; null for 0
  const void* offset = nullptr;  ///< forward: [channels] or null; backward: [samples, channels]
  void* out = nullptr;           ///< as x
  void *first = nullptr, *second = nullptr;  ///< [pieces, channels]: see ChannelRows
};
extern DeviceKernel<void(ChannelStep, const ChannelPieces&)> channel_cuda;

}  // namespace heed::kernels
