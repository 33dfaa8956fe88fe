// The fused attention kernels for sm_90a, from outside. Each kernel's instances are a source of
// their own.
#pragma once

#include "kernels/attention/cuda/fused_call.h"

namespace heed::kernels::cuda {

/// Whether they take the call, on the current device.
bool fits_hopper(const attn::FusedCall& c);

void forward_hopper(const attn::FusedCall& c);
/// Behind the kernel that leaves delta.
void backward_hopper(const attn::FusedCall& c);

}  // namespace heed::kernels::cuda
