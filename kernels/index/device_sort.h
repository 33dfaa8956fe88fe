// What sort.cu works on: x seen as [outer, n, inner], whose columns are sorted.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

struct DeviceSort {
  DType dtype;
  bool descending;
  int64_t outer, n, inner, count;
  int64_t padded;  ///< n rounded up to a power of two
  const void* x;
  uint64_t* keys;    ///< scratch [outer inner, padded]
  int64_t* places;   ///< scratch [outer inner, padded]
  int64_t* indices;  ///< [outer, count, inner]: where the first `count` stand
};
extern DeviceKernel<void(const DeviceSort&)> sort_cuda;

}  // namespace heed::kernels
