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

/// x [rows, tokens, middle, columns] lies in a larger tensor: token t is its token at[t] (t where
/// null), of whose lines of `whole` columns these are those from first_column on. The word of an
/// element is that of its place there.
struct DropoutPart {
  DropoutRows of;  ///< width: of a row, tokens * middle * columns
  int64_t tokens, middle, columns, whole, first_column;
  const int64_t* at;  ///< on the device, or null
};
extern DeviceKernel<void(const DropoutPart&)> dropout_part_cuda;

}  // namespace heed::kernels
