#include "core/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/storage_memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define HEED_NO_CACHE 1  // let the sanitizer see every block's true life
#endif

namespace heed {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

// Size classes: eight steps per power of two, so at most 12.5% of a block is wasted.
size_t size_class(size_t bytes) {
  const size_t wanted = std::max<size_t>(bytes, kAlignment);
  const size_t step = std::max<size_t>(std::bit_floor(wanted) / 8, kAlignment);
  return (wanted + step - 1) / step * step;
}

class HostCache {
 public:
  void* allocate(size_t bytes) {
    const size_t size = size_class(bytes);
    const std::lock_guard lock(mutex_);
    ++stats_.allocations;
    stats_.in_use_bytes += static_cast<int64_t>(size);
    stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.in_use_bytes);
    auto& blocks = free_[size];
    if (!blocks.empty()) {
      void* block = blocks.back();
      blocks.pop_back();
      stats_.cached_bytes -= static_cast<int64_t>(size);
      return block;
    }
    return take_from_system(size);
  }

  void free(void* block, size_t bytes) {
    const size_t size = size_class(bytes);
    const std::lock_guard lock(mutex_);
    stats_.in_use_bytes -= static_cast<int64_t>(size);
#ifdef HEED_NO_CACHE
    std::free(block);
#else
    stats_.cached_bytes += static_cast<int64_t>(size);
    free_[size].push_back(block);
#endif
  }

  AllocatorStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak_bytes = stats_.in_use_bytes;
  }

  void release() {
    const std::lock_guard lock(mutex_);
    release_locked();
  }

 private:
  void* take_from_system(size_t size) {
    ++stats_.system_calls;
    const size_t alignment = size >= kHugePage ? kHugePage : kAlignment;
    const size_t rounded = (size + alignment - 1) / alignment * alignment;
    void* block = std::aligned_alloc(alignment, rounded);
    if (block == nullptr) {
      release_locked();
      block = std::aligned_alloc(alignment, rounded);
    }
    if (block == nullptr) {
      stats_.in_use_bytes -= static_cast<int64_t>(size);
      fail("out of memory: {} bytes asked for, {} in use", size, stats_.in_use_bytes);
    }
    if (size >= kHugePage) madvise(block, rounded, MADV_HUGEPAGE);
    return block;
  }

  void release_locked() {
    for (auto& [size, blocks] : free_) {
      for (void* block : blocks) std::free(block);
      blocks.clear();
    }
    stats_.cached_bytes = 0;
  }

  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;
  AllocatorStats stats_;
};

// Never destroyed: tensors of static lifetime may be freed after main.
HostCache& host() {
  static auto* cache = new HostCache;
  return *cache;
}

}  // namespace

Storage::Storage(size_t size, Device where) : bytes(size), device(where) {
  require_cpu(where, "allocate");
  data = host().allocate(size);
}

Storage::Storage(void* memory, size_t size, std::shared_ptr<const void> owner)
    : data(memory), bytes(size), owner_(std::move(owner)) {}

Storage::~Storage() {
  if (owner_ == nullptr && data != nullptr) host().free(data, bytes);
}

namespace allocator {

AllocatorStats stats(Device device) {
  require_cpu(device, "allocator statistics");
  return host().stats();
}
void reset_peak(Device device) {
  require_cpu(device, "allocator statistics");
  host().reset_peak();
}
void release_cached(Device device) {
  require_cpu(device, "allocator");
  host().release();
}

void release(Storage& storage) {
  require_cpu(storage.device, "release");
  if (storage.data != nullptr) host().free(std::exchange(storage.data, nullptr), storage.bytes);
}

void restore(Storage& storage) {
  require_cpu(storage.device, "restore");
  if (storage.data == nullptr) storage.data = host().allocate(storage.bytes);
}

}  // namespace allocator
}  // namespace heed
