// What runs beside a block's threads, and what they wait for, between the emulator's core and
// hopper.cpp.
#pragma once

#include <cstddef>
#include <string>

namespace emulation {

/// A new block begins.
void reset_engines(size_t threads);
/// Nobody can go on: the copy engine does its next piece of work; false when it has none.
bool run_engines();

/// Where the block's dynamic shared memory lies, and how many bytes there are.
struct SharedRange {
  std::byte* data;
  size_t bytes;
};
SharedRange dynamic_range();

/// A draw of the launch's order: whether something that may happen now or later happens now.
bool happens_now();

}  // namespace emulation
