// What a device's library of transforms works on (kernels/cuda/library_cufft.cpp).
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

enum class DeviceFftKind { forward, inverse, real, real_inverse };

/// `batch` dense transforms over their `rank` dimensions n, not scaled. Complex numbers are pairs.
/// Of real numbers the spectrum has n[rank - 1] / 2 + 1 elements along the last dimension.
/// real_inverse is of rank 1, the imaginary parts of its bins 0 and n / 2 are 0, and it may
/// overwrite what it reads.
struct DeviceFft {
  static constexpr int kMaxRank = 3;

  DType dtype;  ///< f32 or f64
  DeviceFftKind kind;
  int rank;
  int64_t n[kMaxRank];
  int64_t batch;
  void* in;
  void* out;  ///< not where `in` is
};
extern DeviceKernel<void(const DeviceFft&)> fft_cuda;

}  // namespace heed::kernels
