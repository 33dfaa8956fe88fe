// What a device can do at most: the ceilings beside which its kernels are measured.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "core/dtype.h"

namespace heed::tools {

/// Bytes read and written a second when a tensor of `bytes` bytes is copied, the better of our
/// kernel and, on a device, the driver's copy: best of `seconds` each.
double copy_rate(Device device, int64_t bytes, double seconds);

/// FLOP/s of a product of normal random [size, size] matrices into their own dtype, best of
/// `seconds`. (On constant matrices a GPU draws less power and is faster than it ever is in use.)
double product_rate(Device device, DType dtype, int64_t size, double seconds);

}  // namespace heed::tools
