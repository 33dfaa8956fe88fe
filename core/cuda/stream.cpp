#include "core/cuda/stream.h"

#include "core/cuda/check.h"

namespace heed::cuda {
Stream::Stream() {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "create a stream");
}
Stream::~Stream() {
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

Event::Event() {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "create an event");
}
Event::~Event() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}
void Event::record(cudaStream_t stream) {
  check(cudaEventRecord(event_, stream), "record an event");
}
void Event::synchronize() const { check(cudaEventSynchronize(event_), "wait for an event"); }

}  // namespace heed::cuda
