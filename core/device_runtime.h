// What the core asks of a device other than the CPU. A build with CUDA has one (core/cuda/); the
// tests bring one that runs on the CPU.
#pragma once

#include <cstddef>
#include <memory>

#include "core/allocator.h"
#include "core/device.h"

namespace heed {

/// Everything happens on a device's compute stream, in the order of the calls.
struct DeviceRuntime {
  virtual ~DeviceRuntime() = default;

  virtual int device_count() const = 0;

  virtual void* allocate(int device, size_t bytes) = 0;
  /// The block may be handed out again at once: what is on the stream already still has it.
  virtual void free(int device, void* block, size_t bytes) = 0;
  virtual AllocatorStats stats(int device) = 0;
  virtual void reset_peak(int device) = 0;
  virtual void release_cached(int device) = 0;

  /// From host memory, which may be changed as soon as the call returns.
  virtual void copy_in(int device, void* to, const void* from, size_t bytes) = 0;
  /// To host memory; waits until the bytes are there.
  virtual void copy_out(int device, void* to, const void* from, size_t bytes) = 0;
  virtual void copy_within(int device, void* to, const void* from, size_t bytes) = 0;
  virtual void zero(int device, void* to, size_t bytes) = 0;
  /// Waits for all that was started; an Error when any of it failed.
  virtual void synchronize(int device) = 0;

  /// Around the kernels of an op: makes the device current and opens a profiler range of that name.
  virtual void enter(int device, const char* op) = 0;
  virtual void leave() = 0;
};

/// The runtime of device tensors; an Error naming `what` where this build has none, a RequestError
/// where the machine has no such device.
DeviceRuntime& device_runtime(Device device, const char* what);

/// Copies between devices, or within one. Host memory may be changed, or read, when it returns.
void copy_bytes(Device to_device, void* to, Device from_device, const void* from, size_t bytes);

/// Puts a runtime in place: once, before the first device tensor.
void provide_device_runtime(std::unique_ptr<DeviceRuntime> runtime);

}  // namespace heed
