// What the cases of this folder ask of the device that they run on: a real one (real_device.cpp),
// or the emulated one (tests/cuda_emulation/emulated_device.cpp).
#pragma once

#include <cstdint>
#include <optional>

#include "core/device.h"

namespace heed::testing {

inline constexpr Device kDevice{DeviceType::cuda, 0};

/// In how many ways the same work can be done, all of which must give the same bits. The emulator
/// has orders of threads. On a real device threads and blocks run in an order of their own each
/// time, so a way is one more run, and in some of them what was freed before holds no number.
int ways_to_run();
/// Work is done that way from now on: 0 is the plain one.
void run_in_way(int way, uint64_t seed = 1);

/// Kernels launched so far; nothing where nobody counts them.
std::optional<int64_t> launches();

}  // namespace heed::testing
