#include "core/allocator.h"

#include <sys/mman.h>

#include <cstdlib>
#include <utility>

#include "core/block_cache.h"
#include "core/device_runtime.h"
#include "core/storage_memory.h"

namespace heed {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

struct HostMemory : BlockSource {
  void* take(size_t bytes) override {
    const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void* block = std::aligned_alloc(alignment, rounded);
    if (block != nullptr && bytes >= kHugePage) madvise(block, rounded, MADV_HUGEPAGE);
    return block;
  }
  void give_back(void* block) override { std::free(block); }
};

// Never destroyed: tensors of static lifetime may be freed after main.
BlockCache& host() {
  static auto* cache = new BlockCache(*new HostMemory, kCpu, keep_freed_blocks());
  return *cache;
}

void* allocate(Device device, size_t bytes) {
  if (device.is_cpu()) return host().allocate(bytes);
  return device_runtime(device, "allocate").allocate(device.index, bytes);
}

void free(Device device, void* block, size_t bytes) {
  if (device.is_cpu()) return host().free(block, bytes);
  device_runtime(device, "free").free(device.index, block, bytes);
}

}  // namespace

Storage::Storage(size_t size, Device where) : bytes(size), device(where) {
  data = allocate(where, size);
}

Storage::Storage(void* memory, size_t size, std::shared_ptr<const void> owner)
    : data(memory), bytes(size), owner_(std::move(owner)) {}

Storage::~Storage() {
  if (owner_ == nullptr && data != nullptr) free(device, data, bytes);
}

void Storage::move_to(Device to) {
  if (to == device) return;
  void* moved = allocate(to, bytes);
  copy_bytes(to, moved, device, data, bytes);
  if (owner_ == nullptr) free(device, data, bytes);
  owner_ = nullptr;
  data = moved;
  device = to;
}

namespace allocator {

AllocatorStats stats(Device device) {
  if (device.is_cpu()) return host().stats();
  return device_runtime(device, "allocator statistics").stats(device.index);
}
void reset_peak(Device device) {
  if (device.is_cpu()) return host().reset_peak();
  device_runtime(device, "allocator statistics").reset_peak(device.index);
}
void release_cached(Device device) {
  if (device.is_cpu()) return host().release();
  device_runtime(device, "allocator").release_cached(device.index);
}

void release(Storage& storage) {
  if (storage.data != nullptr) {
    free(storage.device, std::exchange(storage.data, nullptr), storage.bytes);
  }
}

void restore(Storage& storage) {
  if (storage.data == nullptr) storage.data = allocate(storage.device, storage.bytes);
}

}  // namespace allocator
}  // namespace heed
