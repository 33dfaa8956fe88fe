// The runtime's interface: two devices of which all work is done when the call returns, so streams
// and events order nothing that is not ordered already.
#include <map>
#include <mutex>

#include "cuda_runtime.h"
#include "guarded.h"

struct EmulatedStream {
  int device;
};
struct EmulatedEvent {};

namespace {

constexpr int kDevices = 2;
constexpr size_t kGranted = 48 << 10, kMostShared = 227 << 10;
thread_local int device = 0;

std::map<const void*, size_t>& granted() {
  static auto* sizes = new std::map<const void*, size_t>;
  return *sizes;
}

}  // namespace

size_t emulation::granted_shared_bytes(const void* kernel) {
  const auto found = granted().find(kernel);
  return found == granted().end() ? kGranted : found->second;
}

bool emulation::is_of_current_device(cudaStream_t stream) {
  return stream == nullptr || stream->device == device;
}

const char* cudaGetErrorString(cudaError_t code) {
  switch (code) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
  }
  return "unknown error";
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = kDevices;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* current) {
  *current = device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int wanted) {
  if (wanted < 0 || wanted >= kDevices) return cudaErrorInvalidValue;
  device = wanted;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  constexpr int kMultiprocessors = 3, kMajor = 9, kMinor = 0;
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = kMultiprocessors;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = kMajor;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = kMinor;
      return cudaSuccess;
  }
  return cudaErrorInvalidValue;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }

cudaError_t cudaMallocAsync(void** block, size_t bytes, cudaStream_t) {
  if (bytes == 0) return cudaErrorInvalidValue;  // what there is to get is nobody's promise
  *block = emulation::allocate_device(bytes);
  return *block == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
cudaError_t cudaFreeAsync(void* block, cudaStream_t) {
  if (!emulation::is_device_memory(block)) return cudaErrorInvalidValue;
  emulation::free_device(block);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** block, size_t bytes) {
  *block = std::malloc(bytes);
  return *block == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t) {
  if (emulation::is_device_memory(to) != (kind != cudaMemcpyDeviceToHost) ||
      emulation::is_device_memory(from) != (kind != cudaMemcpyHostToDevice)) {
    return cudaErrorInvalidValue;
  }
  const emulation::DeviceAccess access;
  std::memmove(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  if (!emulation::is_device_memory(to)) return cudaErrorInvalidValue;
  const emulation::DeviceAccess access;
  std::memset(to, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream{device};
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  if (static_cast<size_t>(value) > kMostShared) return cudaErrorInvalidValue;
  granted()[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}
