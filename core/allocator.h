// The caching allocator: freed blocks are kept by size class and handed out again, so that a
// training step after the first makes no system call and touches no fresh page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/device.h"

namespace heed {

struct AllocatorStats {
  int64_t in_use_bytes = 0;  ///< handed out now
  int64_t peak_bytes = 0;    ///< the most that was in use since reset_peak()
  int64_t cached_bytes = 0;  ///< kept for reuse
  int64_t system_calls = 0;  ///< blocks taken from the system since the start
  int64_t allocations = 0;   ///< blocks handed out since the start
};

/// A block of memory, aligned to 64 bytes. Copies of the handle share it; the last one gives it
/// back. `version` counts in-place changes, so that the tape can tell that a saved tensor was
/// overwritten.
struct Storage {
  Storage(size_t bytes, Device device);
  /// Wraps memory that somebody else owns (a mapped file); `owner` keeps it alive.
  Storage(void* data, size_t bytes, std::shared_ptr<const void> owner);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  /// Moves the bytes to another device: all tensors over them follow. Nothing may hold a pointer to
  /// them.
  void move_to(Device device);

  void* data = nullptr;
  size_t bytes = 0;
  Device device;
  uint64_t version = 0;

 private:
  std::shared_ptr<const void> owner_;
};

namespace allocator {

AllocatorStats stats(Device device = kCpu);
/// Sets the peak to what is in use now.
void reset_peak(Device device = kCpu);
/// Gives every cached block back to the system.
void release_cached(Device device = kCpu);

}  // namespace allocator
}  // namespace heed
