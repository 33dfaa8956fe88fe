// CUDA behind core/device_runtime.h.
#pragma once

#include <memory>

#include "core/device_runtime.h"

namespace heed::cuda {

/// A RequestError when the machine has no device that CUDA can use.
std::unique_ptr<DeviceRuntime> make_runtime();

}  // namespace heed::cuda
