// Prefetcher: items made ahead of time by background threads, handed out in order.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"

namespace heed::data {

struct PrefetchOptions {
  int64_t start = 0;  ///< index of the first item
  int64_t depth = 4;  ///< items made ahead, at most; one for each thread at least
  int threads = 1;
};

/// Hands out make(start), make(start + 1), ... in that order. `make` is called from the background
/// threads, possibly from several at once. What it throws is thrown by the next() whose item it
/// was; later items are unaffected. The position is all that a checkpoint needs: a Prefetcher
/// started at (or sent to) position k goes on exactly as one that has handed out k items.
///
/// next, position and seek belong to one consumer thread.
template <class T>
class Prefetcher {
 public:
  explicit Prefetcher(std::function<T(int64_t)> make, const PrefetchOptions& options = {})
      : make_(std::move(make)),
        depth_(std::max<int64_t>(options.depth, options.threads)),
        position_(options.start),
        claimed_(options.start) {
    HEED_CHECK(options.depth >= 1 && options.threads >= 1,
               "prefetch: depth {} and threads {} must be >= 1", options.depth, options.threads);
    for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { work(); });
  }

  ~Prefetcher() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    room_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The item at position(), which moves on by one.
  T next() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return made_.count(position_) > 0; });
    auto node = made_.extract(position_);
    ++position_;
    lock.unlock();
    room_.notify_one();
    if (node.mapped().error) std::rethrow_exception(node.mapped().error);
    return std::move(*node.mapped().item);
  }

  /// Index of the item that next() will return.
  int64_t position() const {
    const std::lock_guard lock(mutex_);
    return position_;
  }

  /// Goes on at another index; what was made ahead is dropped.
  void seek(int64_t position) {
    {
      const std::lock_guard lock(mutex_);
      position_ = claimed_ = position;
      made_.clear();
      ++generation_;
    }
    room_.notify_all();
  }

 private:
  struct Made {
    std::optional<T> item;
    std::exception_ptr error;
  };

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      room_.wait(lock, [this] { return stopping_ || claimed_ < position_ + depth_; });
      if (stopping_) return;
      const int64_t index = claimed_++;
      const uint64_t generation = generation_;
      lock.unlock();
      Made made;
      try {
        made.item.emplace(make_(index));
      } catch (...) {
        made.error = std::current_exception();
      }
      lock.lock();
      if (generation != generation_) continue;  // a seek came between: nobody waits for this one
      made_.emplace(index, std::move(made));
      ready_.notify_one();
    }
  }

  std::function<T(int64_t)> make_;
  int64_t depth_;
  mutable std::mutex mutex_;
  std::condition_variable room_;   ///< there is something to make
  std::condition_variable ready_;  ///< something was made
  std::map<int64_t, Made> made_;
  int64_t position_;
  int64_t claimed_;  ///< the next index that a thread will make
  uint64_t generation_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace heed::data
