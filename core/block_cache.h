// A cache of memory blocks by size class, with statistics: what the allocator of each device is
// made of.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include "core/allocator.h"

namespace heed {

/// Where blocks come from.
struct BlockSource {
  virtual ~BlockSource() = default;
  /// A block of that size, at least 1, or nullptr when there is no memory left.
  virtual void* take(size_t bytes) = 0;
  virtual void give_back(void* block) = 0;
};

/// Hands out blocks, keeps freed ones and hands them out again. Thread-safe.
class BlockCache {
 public:
  /// With `keep` false every block is given back at once, at its exact size: for tools that watch
  /// memory.
  BlockCache(BlockSource& source, Device device, bool keep)
      : source_(source), device_(device), keep_(keep) {}

  /// Throws an Error naming the device when there is no memory left.
  void* allocate(size_t bytes);
  void free(void* block, size_t bytes);
  AllocatorStats stats();
  void reset_peak();
  /// Gives every kept block back to the source.
  void release();

 private:
  void* take_from_source(size_t size);
  void release_locked();

  BlockSource& source_;
  Device device_;
  bool keep_;
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  AllocatorStats stats_;
};

/// Whether caches keep blocks: not under a sanitizer, nor with HEED_CACHE=0 in the environment, so
/// that the tool (compute-sanitizer, valgrind) sees every block's true life and size.
bool keep_freed_blocks();

}  // namespace heed
