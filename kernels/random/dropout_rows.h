// What dropout.cu works on.
#pragma once

#include "core/random.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

/// out[r, i] = x[r, i] scale where word i of row r's stream is at least `threshold`, else 0; row r
/// has the key derived by first_row + r.
struct DropoutRows {
  DType dtype;
  int64_t rows, width;
  RandomKey key;
  uint64_t first_row;
  uint32_t threshold;
  double scale;
  const void* x;
  void* out;
};
extern DeviceKernel<void(const DropoutRows&)> dropout_cuda;

}  // namespace heed::kernels
