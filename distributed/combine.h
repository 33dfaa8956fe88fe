// Elements of two ranks become one: what a reduction does to what arrives.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "distributed/communicator.h"

namespace heed {

/// into[i] := into[i] op in[i], halves by way of f32; a mean is a sum here. A NaN wins over any
/// number, as it does in arithmetic.
void combine(ReduceOp op, DType dtype, const void* in, void* into, int64_t count);

}  // namespace heed
