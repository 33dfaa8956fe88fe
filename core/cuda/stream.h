// Streams and events that clean up after themselves.
#pragma once

#include <cuda_runtime.h>

namespace heed::cuda {

/// A stream of the current device that does not wait for the legacy default stream.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(Stream&& other) noexcept : stream_(other.stream_) { other.stream_ = nullptr; }
  Stream& operator=(Stream&&) = delete;

  cudaStream_t get() const { return stream_; }
  void synchronize() const;

 private:
  cudaStream_t stream_ = nullptr;
};

/// A point in a stream that others can wait for; without timing unless asked.
class Event {
 public:
  explicit Event(bool timing = false);
  ~Event();
  Event(Event&& other) noexcept : event_(other.event_) { other.event_ = nullptr; }
  Event& operator=(Event&&) = delete;

  void record(cudaStream_t stream);
  /// What is put on the stream from now on runs after the event.
  void make_wait(cudaStream_t stream) const;
  void synchronize() const;
  /// Since `start`, both recorded and passed, both with timing.
  float milliseconds_since(const Event& start) const;

 private:
  cudaEvent_t event_ = nullptr;
};

/// The stream that ops of the current device run on: the device's compute stream, but within a
/// StreamGuard of this thread.
cudaStream_t current_stream();

/// While it lives, ops of this thread run on another stream of the current device. Memory freed
/// meanwhile may be handed out to the compute stream at once: what both streams touch must outlive
/// an event that orders them.
class StreamGuard {
 public:
  explicit StreamGuard(cudaStream_t stream);
  ~StreamGuard();
  StreamGuard(const StreamGuard&) = delete;
  StreamGuard& operator=(const StreamGuard&) = delete;

 private:
  cudaStream_t previous_;
};

}  // namespace heed::cuda
