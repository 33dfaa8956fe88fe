// CUDA behind core/device_runtime.h.
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "core/device_runtime.h"

namespace heed::cuda {

/// A RequestError when the machine has no device that CUDA can use.
std::unique_ptr<DeviceRuntime> make_runtime();

/// The compute stream of the current device.
cudaStream_t compute_stream();

/// What kernels are planned by.
struct DeviceLimits {
  int compute_capability = 0;  ///< 80, 90, ...
  int multiprocessors = 0;
  int shared_bytes = 0;  ///< of a block, at most
};
/// Of the current device.
const DeviceLimits& device_limits();

}  // namespace heed::cuda
