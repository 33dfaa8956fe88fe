// What merge.cu works on: rows of [B, H, N, D] tensors of one dtype.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

/// Where the rows of a tensor [B, H, N, D] lie; row r is that of (b, h, i) in row-major order.
struct MergeRows {
  void* data;
  int64_t batch_stride, head_stride, row_stride;

  template <class T>
  HEED_HOST_DEVICE T* at(int64_t r, int64_t heads, int64_t tokens) const {
    const int64_t bh = r / tokens;
    return static_cast<T*>(data) + bh / heads * batch_stride + bh % heads * head_stride +
           r % tokens * row_stride;
  }
};

/// One part, on the device.
struct MergePart {
  MergeRows out;
  const void* lse;  ///< accumulation type, [B, H, N]
  double factor;
  MergeRows dout;  ///< backward
  void* dlse;
};

struct Merge {
  DType dtype;
  int64_t rows, heads, tokens, width;
  int64_t count;           ///< of parts
  const MergePart* parts;  ///< [count], on the device
  MergeRows out;           ///< the merged rows; their gradient backward
  void* lse;               ///< merged: written forward, read backward
  const void* dlse;        ///< its gradient, or null
};
extern DeviceKernel<void(const Merge&)> merge_cuda;
extern DeviceKernel<void(const Merge&)> merge_backward_cuda;

/// Merges the part into `out` and `lse`, which are of the accumulation type, row-major.
struct MergeInto {
  DType dtype;  ///< of the part
  int64_t rows, heads, tokens, width;
  MergeRows part;
  const void* part_lse;
  const double* shift;  ///< of each head's lse, on the device; or null
  void *out, *lse;
};
extern DeviceKernel<void(const MergeInto&)> merge_into_cuda;

}  // namespace heed::kernels
