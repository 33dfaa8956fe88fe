#include "core/device_runtime.h"

#include <atomic>
#include <cstring>
#include <mutex>
#include <vector>

#include "core/error.h"

namespace heed {
#ifdef HEED_WITH_CUDA
namespace cuda {
void start();  // kernels/cuda/start.cpp: provides the runtime and the kernels
}
#endif

namespace {

// Never destroyed: tensors of static lifetime may be freed after main.
std::atomic<DeviceRuntime*> provided = nullptr;

DeviceRuntime* started() {
#ifdef HEED_WITH_CUDA
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (provided.load() == nullptr) cuda::start();
#endif
  return provided.load();
}

}  // namespace

DeviceRuntime& device_runtime(Device device, const char* what) {
  DeviceRuntime* runtime = provided.load(std::memory_order_acquire);
  try {
    if (runtime == nullptr) runtime = started();
  } catch (const RequestError& error) {
    fail_request("{}: {}: {}", what, device.to_string(), error.what());
  }
  HEED_CHECK(runtime != nullptr, "{}: {} needs a build with CUDA (see heed doctor)", what,
             device.to_string());
  if (device.index >= runtime->device_count()) {
    fail_request("{}: there is no {}, this machine has {} such device{}", what, device.to_string(),
                 runtime->device_count(), runtime->device_count() == 1 ? "" : "s");
  }
  return *runtime;
}

void copy_bytes(Device to_device, void* to, Device from_device, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (to_device.is_cpu() && from_device.is_cpu()) {
    std::memcpy(to, from, bytes);
  } else if (from_device.is_cpu()) {
    device_runtime(to_device, "copy").copy_in(to_device.index, to, from, bytes);
  } else if (to_device.is_cpu()) {
    device_runtime(from_device, "copy").copy_out(from_device.index, to, from, bytes);
  } else if (to_device == from_device) {
    device_runtime(to_device, "copy").copy_within(to_device.index, to, from, bytes);
  } else {  // through the host: ranks own one device each, so this is for tests and tools
    std::vector<std::byte> staged(bytes);
    copy_bytes(kCpu, staged.data(), from_device, from, bytes);
    copy_bytes(to_device, to, kCpu, staged.data(), bytes);
  }
}

void provide_device_runtime(std::unique_ptr<DeviceRuntime> runtime) {
  HEED_CHECK(provided.load() == nullptr, "a device runtime was provided twice");
  provided.store(runtime.release(), std::memory_order_release);
}

}  // namespace heed
