// What scan.cu works on: x seen as [outer, n, inner], scanned along n.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

enum class Scan { sum, max, log_sum_exp, log_sum_exp_backward };

struct DeviceScan {
  Scan op;
  DType dtype;
  int64_t outer, n, inner;
  bool reverse;
  const void* x;
  /// log_sum_exp_backward: gradient and result of log_sum_exp
  const void *dy = nullptr, *result = nullptr;
  void* y;                   ///< what is written
  int64_t* index = nullptr;  ///< max: where it stands
};
extern DeviceKernel<void(const DeviceScan&)> scan_cuda;

/// y = the moving sum over `window` rows of x, in the order of the scan. Where `mean`, the share 1
/// / min(row + 1, window) scales what is written, or what is read where `adjoint`.
struct DeviceMoving {
  DType dtype;
  int64_t outer, n, inner, window;
  bool mean, adjoint;  ///< adjoint: from the far end
  const void* x;
  void* y;
  double *before, *after;  ///< scratch [outer, n, inner]
};
extern DeviceKernel<void(const DeviceMoving&)> moving_cuda;

}  // namespace heed::kernels
