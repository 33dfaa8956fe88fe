// Tile plans in device memory: uploaded at their first use, kept with the device's other plans.
#pragma once

#include "kernels/attention/cuda/fused_call.h"
#include "kernels/attention/plan.h"

namespace heed::kernels::attn {

/// The problem's plan on a device; what it points to lives until a few dozen others were used.
DevicePlan device_plan(const Problem& problem, Device device);

/// An index on a device; the same lifetime.
FusedIndex device_index(const std::shared_ptr<const RelativeIndex>& index, int64_t entries,
                        Device device);

/// ALiBi's slopes by head on a device, times the step between tokens; null without.
const float* device_slopes(const AttentionScore& score, Device device);

}  // namespace heed::kernels::attn
