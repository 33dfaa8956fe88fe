#include "core/cuda/stream.h"

#include "core/cuda/check.h"
#include "core/cuda/runtime.h"

namespace heed::cuda {
namespace {
thread_local cudaStream_t guarded = nullptr;
}

Stream::Stream() {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "create a stream");
}
Stream::~Stream() {
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}
void Stream::synchronize() const { check(cudaStreamSynchronize(stream_), "wait for a stream"); }

Event::Event(bool timing) {
  const unsigned flags = timing ? cudaEventDefault : cudaEventDisableTiming;
  check(cudaEventCreateWithFlags(&event_, flags), "create an event");
}
Event::~Event() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}
void Event::record(cudaStream_t stream) {
  check(cudaEventRecord(event_, stream), "record an event");
}
void Event::make_wait(cudaStream_t stream) const {
  check(cudaStreamWaitEvent(stream, event_, 0), "wait for an event");
}
void Event::synchronize() const { check(cudaEventSynchronize(event_), "wait for an event"); }
float Event::milliseconds_since(const Event& start) const {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "time between events");
  return milliseconds;
}

cudaStream_t current_stream() { return guarded != nullptr ? guarded : compute_stream(); }

StreamGuard::StreamGuard(cudaStream_t stream) : previous_(guarded) { guarded = stream; }
StreamGuard::~StreamGuard() { guarded = previous_; }

}  // namespace heed::cuda
