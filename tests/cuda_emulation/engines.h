// What runs beside a block's threads, and what they wait for, between the emulator's core,
// copy_engine.cpp and warpgroup.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulation {

/// A new block of that many threads begins.
void reset_copy_engine();
void reset_warpgroups(size_t threads);
/// Nobody can go on: the copy engine does its next piece of work; false when it has none.
bool run_copy_engine();

/// Where the block's dynamic shared memory lies, and how many bytes there are.
struct SharedRange {
  std::byte* data;
  size_t bytes;
};
SharedRange dynamic_range();
/// What lies at an address of the window of shared memory (shared_address); null: nothing does.
std::byte* shared_at(uint32_t address);

/// A draw of the launch's order: whether something that may happen now or later happens now.
bool happens_now();

}  // namespace emulation
