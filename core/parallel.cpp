#include "core/parallel.h"

#include <algorithm>
#include <mutex>

#ifdef __SANITIZE_THREAD__
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <thread>
#else
#include <omp.h>
#endif

namespace heed {

namespace {

// The first exception of a loop's chunks.
class FirstError {
 public:
  void call(void (*chunk)(void* context, int64_t index), void* context, int64_t index) {
    try {
      chunk(context, index);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace

#ifdef __SANITIZE_THREAD__

// The thread sanitizer does not see how GCC's OpenMP runtime makes its threads wait for each other,
// and would call every parallel loop a race. Under it the loops have threads of their own, which it
// does see: what it then reports of a loop is true.

namespace {

int initial_threads() {
  const char* given = std::getenv("OMP_NUM_THREADS");
  int threads = 0;
  if (given != nullptr) std::from_chars(given, given + std::strlen(given), threads);
  return threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency());
}

std::atomic<int> threads = std::max(1, initial_threads());
thread_local int own_index = 0;
thread_local bool inside = false;

}  // namespace

int thread_count() { return threads; }
void set_thread_count(int count) { threads = std::max(1, count); }
int thread_index() { return own_index; }
bool in_parallel() { return inside; }

void detail::run_chunks(int64_t chunks, void (*chunk)(void* context, int64_t index),
                        void* context) {
  FirstError error;
  std::atomic<int64_t> next = 0;
  const auto work = [&](int index) {
    own_index = index;
    inside = true;
    for (int64_t c = next++; c < chunks; c = next++) error.call(chunk, context, c);
    own_index = 0;
    inside = false;
  };
  std::vector<std::thread> others;
  const auto wanted = static_cast<int>(std::min<int64_t>(chunks, threads));
  for (int index = 1; index < wanted; ++index) others.emplace_back(work, index);
  work(0);
  for (std::thread& other : others) other.join();
  error.rethrow();
}

#else

int thread_count() { return omp_get_max_threads(); }
void set_thread_count(int threads) { omp_set_num_threads(std::max(1, threads)); }
int thread_index() { return omp_get_thread_num(); }
bool in_parallel() { return omp_in_parallel() != 0; }

void detail::run_chunks(int64_t chunks, void (*chunk)(void* context, int64_t index),
                        void* context) {
  FirstError error;
#pragma omp parallel for schedule(dynamic, 1) \
    num_threads(static_cast <int>(std::min <int64_t>(chunks, omp_get_max_threads())))
  for (int64_t c = 0; c < chunks; ++c) error.call(chunk, context, c);
  error.rethrow();
}

#endif

}  // namespace heed
