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

 private:
  cudaStream_t stream_ = nullptr;
};

/// A point in a stream that the host can wait for.
class Event {
 public:
  Event();
  ~Event();
  Event(Event&& other) noexcept : event_(other.event_) { other.event_ = nullptr; }
  Event& operator=(Event&&) = delete;

  void record(cudaStream_t stream);
  /// At once for one that was never recorded.
  void synchronize() const;

 private:
  cudaEvent_t event_ = nullptr;
};

/// The stream that all ops of the current device run on, and its memory is handed out on.
cudaStream_t current_stream();

}  // namespace heed::cuda
