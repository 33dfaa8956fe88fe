// What cholesky.cu works on: matrices of f64, row-major.
#pragma once

#include <cstdint>

#include "kernels/device_kernel.h"

namespace heed::kernels {

struct DeviceCholesky {
  int64_t count, dim, columns;
  const double* a;  ///< [count, dim, dim]
  double* l;        ///< [count, dim, dim], scratch
  double* x;        ///< [count, dim, columns]: the right sides, then the solutions
  int64_t* failed;  ///< [count]: the first pivot that is not positive and finite, or -1
  double* pivot;    ///< [count]: what it is
};
extern DeviceKernel<void(const DeviceCholesky&)> cholesky_cuda;

}  // namespace heed::kernels
