// Memory comes from the driver's stream-ordered pool, which is told to keep what it has; in front
// of it stands the cache of size classes that the CPU has too, so that a training step after the
// first asks the driver for nothing. A freed block may be handed out at once: whoever gets it works
// on the same stream, behind whoever had it.
#include "core/cuda/runtime.h"

#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/block_cache.h"
#include "core/cuda/check.h"
#include "core/cuda/stream.h"
#include "core/error.h"

namespace heed::cuda {
namespace {

class PoolMemory : public BlockSource {
 public:
  PoolMemory(int device, cudaStream_t stream) : stream_(stream) {
    cudaMemPool_t pool = nullptr;
    check(cudaDeviceGetDefaultMemPool(&pool, device), "memory pool");
    uint64_t keep_all = UINT64_MAX;
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep_all), "memory pool");
  }
  void* take(size_t bytes) override {
    void* block = nullptr;
    const cudaError_t code = cudaMallocAsync(&block, bytes, stream_);
    if (code == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      return nullptr;
    }
    check(code, "allocate");
    return block;
  }
  // Never throws: tensors are destroyed while an error unwinds, and after main, when the driver may
  // be gone. What failed is told by the call that failed.
  void give_back(void* block) override {
    if (cudaFreeAsync(block, stream_) != cudaSuccess) cudaGetLastError();
  }

 private:
  cudaStream_t stream_;
};

// Copies to the device go through pinned memory, large ones piece by piece, so that the host goes
// on when it has written the last piece there: two halves take turns, and a half is written again
// when the copies out of it have passed.
class Staging {
 public:
  static constexpr size_t kHalf = size_t{4} << 20;
  static constexpr size_t kPiece = size_t{1} << 20;

  Staging() { check(cudaMallocHost(reinterpret_cast<void**>(&memory_), 2 * kHalf), "pin memory"); }

  void copy(void* to, const void* from, size_t bytes, cudaStream_t stream) {
    for (size_t done = 0; done < bytes; done += kPiece) {
      copy_piece(static_cast<std::byte*>(to) + done, static_cast<const std::byte*>(from) + done,
                 std::min(kPiece, bytes - done), stream);
    }
  }

 private:
  void copy_piece(void* to, const void* from, size_t bytes, cudaStream_t stream) {
    if (used_ + bytes > kHalf) {
      events_[half_].record(stream);
      half_ = 1 - half_;
      events_[half_].synchronize();
      used_ = 0;
    }
    std::byte* place = memory_ + half_ * kHalf + used_;
    std::memcpy(place, from, bytes);
    check(cudaMemcpyAsync(to, place, bytes, cudaMemcpyHostToDevice, stream), "copy to the device");
    used_ += (bytes + 63) / 64 * 64;
  }

  std::byte* memory_ = nullptr;
  std::array<Event, 2> events_;
  size_t half_ = 0, used_ = 0;
};

// One device, whose primary context exists while the process does.
struct DeviceState {
  explicit DeviceState(int device)
      : memory(device, stream.get()),
        cache(memory, Device{DeviceType::cuda, device}, keep_freed_blocks()) {}

  Stream stream;
  PoolMemory memory;
  BlockCache cache;
  Staging staging;
  std::mutex staging_mutex;
};

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "current device");
  return device;
}

// While it lives, that device is the current one.
class Current {
 public:
  explicit Current(int device) : previous_(current_device()) {
    if (device != previous_) check(cudaSetDevice(device), "choose a device");
  }
  ~Current() { cudaSetDevice(previous_); }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  int previous_;
};

// Never destroyed: tensors of static lifetime may be freed after main.
DeviceState& state(int device) {
  static std::mutex mutex;
  static auto* states = new std::vector<std::unique_ptr<DeviceState>>;
  const std::lock_guard lock(mutex);
  if (states->size() <= static_cast<size_t>(device))
    states->resize(static_cast<size_t>(device) + 1);
  auto& found = (*states)[static_cast<size_t>(device)];
  if (found == nullptr) {
    const Current current(device);  // streams and events are those of the current device
    found = std::make_unique<DeviceState>(device);
  }
  return *found;
}

class CudaRuntime : public DeviceRuntime {
 public:
  explicit CudaRuntime(int devices) : devices_(devices) {}

  int device_count() const override { return devices_; }

  void* allocate(int device, size_t bytes) override {
    const Current current(device);
    return state(device).cache.allocate(bytes);
  }
  void free(int device, void* block, size_t bytes) override {
    state(device).cache.free(block, bytes);
  }
  AllocatorStats stats(int device) override { return state(device).cache.stats(); }
  void reset_peak(int device) override { state(device).cache.reset_peak(); }
  void release_cached(int device) override { state(device).cache.release(); }

  void copy_in(int device, void* to, const void* from, size_t bytes) override {
    const Current current(device);
    DeviceState& s = state(device);
    const std::lock_guard lock(s.staging_mutex);
    s.staging.copy(to, from, bytes, current_stream());
  }
  void copy_out(int device, void* to, const void* from, size_t bytes) override {
    const Current current(device);
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, current_stream()),
          "copy from the device");
    check(cudaStreamSynchronize(current_stream()), "copy from the device");
  }
  void copy_within(int device, void* to, const void* from, size_t bytes) override {
    const Current current(device);
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, current_stream()), "copy");
  }
  void zero(int device, void* to, size_t bytes) override {
    const Current current(device);
    check(cudaMemsetAsync(to, 0, bytes, current_stream()), "zero");
  }
  void synchronize(int device) override {
    const Current current(device);
    check(cudaDeviceSynchronize(), "wait for the device");
  }

  void enter(int device, const char* op) override {
    if (device != current_device()) check(cudaSetDevice(device), "choose a device");
    nvtxRangePushA(op);
  }
  void leave() override { nvtxRangePop(); }

 private:
  int devices_;
};

}  // namespace

std::unique_ptr<DeviceRuntime> make_runtime() {
  int devices = 0;
  const cudaError_t code = cudaGetDeviceCount(&devices);
  if (code != cudaSuccess || devices == 0) {
    fail_request("this machine has no device that CUDA can use ({})",
                 code == cudaSuccess ? "none found" : cudaGetErrorString(code));
  }
  return std::make_unique<CudaRuntime>(devices);
}

cudaStream_t current_stream() { return state(current_device()).stream.get(); }

}  // namespace heed::cuda
