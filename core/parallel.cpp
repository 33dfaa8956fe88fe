#include "core/parallel.h"

#include <omp.h>

#include <algorithm>
#include <mutex>

namespace heed {

int thread_count() { return omp_get_max_threads(); }
void set_thread_count(int threads) { omp_set_num_threads(std::max(1, threads)); }
int thread_index() { return omp_get_thread_num(); }
bool in_parallel() { return omp_in_parallel() != 0; }

namespace detail {

void run_chunks(int64_t chunks, void (*chunk)(void* context, int64_t index), void* context) {
  std::exception_ptr error;
  std::mutex mutex;
#pragma omp parallel for schedule(dynamic, 1) \
    num_threads(static_cast <int>(std::min <int64_t>(chunks, omp_get_max_threads())))
  for (int64_t c = 0; c < chunks; ++c) {
    try {
      chunk(context, c);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace detail
}  // namespace heed
