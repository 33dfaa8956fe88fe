// Parallel loops over OpenMP. The chunks depend on the problem alone, never on the thread count, so
// a result that is combined in chunk order is the same on one core and on sixty-four.
#pragma once

#include <cstdint>
#include <exception>
#include <vector>

namespace heed {

/// Threads that parallel_for uses: OMP_NUM_THREADS, or the cores this process may run on.
int thread_count();
void set_thread_count(int threads);
/// The calling thread's number within a parallel_for, 0 outside one.
int thread_index();
/// True inside a parallel_for: a nested one runs on the calling thread.
bool in_parallel();

namespace detail {
void run_chunks(int64_t chunks, void (*chunk)(void* context, int64_t index), void* context);
}

/// Calls fn(begin, end) over [0, n) in chunks of `grain` (the last may be shorter), on all threads.
/// The first exception thrown by a chunk is rethrown here.
template <class Fn>
void parallel_for(int64_t n, int64_t grain, Fn&& fn) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  const int64_t chunks = (n + grain - 1) / grain;
  if (chunks == 1 || thread_count() == 1 || in_parallel()) {
    for (int64_t c = 0; c < chunks; ++c) {
      fn(c * grain, c * grain + grain < n ? c * grain + grain : n);
    }
    return;
  }
  struct Context {
    Fn& fn;
    int64_t n, grain;
  } context{fn, n, grain};
  detail::run_chunks(
      chunks,
      [](void* opaque, int64_t c) {
        auto& [f, total, step] = *static_cast<Context*>(opaque);
        f(c * step, c * step + step < total ? c * step + step : total);
      },
      &context);
}

/// Sum over chunks of fn(begin, end), added in chunk order.
template <class T, class Fn>
T parallel_sum(int64_t n, int64_t grain, Fn&& fn) {
  if (grain < 1) grain = 1;
  const int64_t chunks = n <= 0 ? 0 : (n + grain - 1) / grain;
  std::vector<T> partial(static_cast<size_t>(chunks), T{});
  parallel_for(chunks, 1, [&](int64_t first, int64_t last) {
    for (int64_t c = first; c < last; ++c) {
      partial[static_cast<size_t>(c)] =
          fn(c * grain, c * grain + grain < n ? c * grain + grain : n);
    }
  });
  T total{};
  for (const T& p : partial) total += p;
  return total;
}

}  // namespace heed
