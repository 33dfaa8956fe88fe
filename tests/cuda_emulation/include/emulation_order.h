// The emulator's settings, for tests that see nothing of CUDA.
#pragma once

#include <cstdint>

namespace emulation {

/// In which order threads run between two barriers, warps with them, and blocks of a grid.
enum class Order { ascending, descending, shuffled };
void set_order(Order order, uint64_t seed = 1);

/// Launches so far, of all kernels.
int64_t launches();

}  // namespace emulation
