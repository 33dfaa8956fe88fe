#include "core/block_cache.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <string_view>

#include "core/error.h"

namespace heed {
namespace {

constexpr size_t kAlignment = 64;

// Size classes: eight steps per power of two, so at most 12.5% of a block is wasted.
size_t size_class(size_t bytes) {
  const size_t wanted = std::max<size_t>(bytes, kAlignment);
  const size_t step = std::max<size_t>(std::bit_floor(wanted) / 8, kAlignment);
  return (wanted + step - 1) / step * step;
}

}  // namespace

bool keep_freed_blocks() {
#if defined(__SANITIZE_ADDRESS__)
  return false;
#else
  const char* value = std::getenv("HEED_CACHE");
  return value == nullptr || std::string_view(value) != "0";
#endif
}

void* BlockCache::allocate(size_t bytes) {
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  void* block = nullptr;
  if (const auto kept = free_.find(size); kept != free_.end() && !kept->second.empty()) {
    block = kept->second.back();
    kept->second.pop_back();
    stats_.cached_bytes -= static_cast<int64_t>(size);
  } else {
    block = take_from_source(keep_ ? size : std::max<size_t>(bytes, 1));
  }
  ++stats_.allocations;
  stats_.in_use_bytes += static_cast<int64_t>(size);
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.in_use_bytes);
  return block;
}

void BlockCache::free(void* block, size_t bytes) {
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  stats_.in_use_bytes -= static_cast<int64_t>(size);
  if (!keep_) return source_.give_back(block);
  stats_.cached_bytes += static_cast<int64_t>(size);
  free_[size].push_back(block);
}

AllocatorStats BlockCache::stats() {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void BlockCache::reset_peak() {
  const std::lock_guard lock(mutex_);
  stats_.peak_bytes = stats_.in_use_bytes;
}

void BlockCache::release() {
  const std::lock_guard lock(mutex_);
  release_locked();
}

void* BlockCache::take_from_source(size_t size) {
  ++stats_.system_calls;
  void* block = source_.take(size);
  if (block == nullptr) {
    release_locked();
    block = source_.take(size);
  }
  if (block == nullptr) {
    fail("out of memory on {}: {} bytes asked for, {} in use", device_.to_string(), size,
         stats_.in_use_bytes);
  }
  return block;
}

void BlockCache::release_locked() {
  for (auto& [size, blocks] : free_) {
    for (void* block : blocks) source_.give_back(block);
    blocks.clear();
  }
  stats_.cached_bytes = 0;
}

}  // namespace heed
