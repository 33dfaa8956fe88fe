// What lists.cu works on: pieces of the tensors of a list.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"
#include "kernels/optim/chunk.h"

namespace heed::kernels {

/// What is done to each piece: its sum of squares; whether it holds an infinity or NaN (1, else 0);
/// x = min(max(x, -number), number); x *= number; other += number (x - other).
enum class ListOp { squares, not_finite, clamp, scale, average };

struct ListTensor {
  DType dtype;  ///< of x
  void* x;
  void* other;  ///< accumulation type, of averages alone
};

struct ListPieces {
  ListOp op;
  double number;
  const ListTensor* tensors;  ///< on the device
  const Chunk* chunks;        ///< [count], on the device
  int64_t count;
  double* result;  ///< [count], on the device, of squares and not_finite
};
extern DeviceKernel<void(const ListPieces&)> list_cuda;

}  // namespace heed::kernels
