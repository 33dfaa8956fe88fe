// Rows by index: a thread an element, neighbouring threads neighbouring elements of a row. Sums by
// index read their rows in a fixed order: no atomics.
#include "kernels/cuda/each.h"
#include "kernels/index/device_index.h"

namespace heed::kernels::cuda {
namespace {

template <class From, class To>
__global__ void take(TakeRows t, int64_t n) {
  const From* x = static_cast<const From*>(t.x);
  To* out = static_cast<To*>(t.out);
  for_each(n, [&](int64_t at) {
    const int64_t i = at % t.e.inner, row = at / t.e.inner;
    const int64_t id = t.ids[row % t.e.count];
    const From value = x[(row / t.e.count * t.e.n + id) * t.e.inner + i];
    if constexpr (std::is_same_v<From, To>) {
      out[at] = value;
    } else {
      out[at] = static_cast<To>(static_cast<accumulate_t<To>>(value));
    }
  });
}

template <class From, class A>
__global__ void add_rows(AddRows t, int64_t n) {
  const From* dy = static_cast<const From*>(t.dy);
  for_each(n, [&](int64_t at) {
    const int64_t i = at % t.e.inner, row = at / t.e.inner;
    const int64_t id = row % t.e.n, block = row / t.e.n * t.e.count;
    A sum = 0;
    for (int64_t k = t.start[id]; k < t.start[id + 1]; ++k) {
      sum += static_cast<A>(dy[(block + t.order[k]) * t.e.inner + i]);
    }
    static_cast<A*>(t.sum)[at] = sum;
  });
}

template <class T>
__global__ void gather(GatherAlong t, int64_t n) {
  for_each(n, [&](int64_t at) {
    const int64_t i = at % t.e.inner, o = at / (t.e.inner * t.e.count);
    static_cast<T*>(t.out)[at] =
        static_cast<const T*>(t.x)[(o * t.e.n + t.ids[at]) * t.e.inner + i];
  });
}

template <class From, class A>
__global__ void scatter(ScatterAlong t, int64_t n) {
  for_each(n, [&](int64_t c) {
    const int64_t i = c % t.e.inner, o = c / t.e.inner;
    for (int64_t k = 0; k < t.e.count; ++k) {
      const int64_t at = (o * t.e.count + k) * t.e.inner + i;
      static_cast<A*>(t.sum)[(o * t.e.n + t.ids[at]) * t.e.inner + i] +=
          static_cast<A>(static_cast<const From*>(t.values)[at]);
    }
  });
}

template <class T>
__global__ void put(PutRows t, int64_t n) {
  for_each(n, [&](int64_t at) {
    const int64_t i = at % t.e.inner, row = at / t.e.inner;
    const int64_t k = t.last[row % t.e.n];
    static_cast<T*>(t.out)[at] =
        k < 0 ? static_cast<const T*>(t.x)[at]
              : static_cast<const T*>(t.values)[(row / t.e.n * t.e.count + k) * t.e.inner + i];
  });
}

template <class T>
__global__ void segment_max(SegmentExtremes s, int64_t n) {
  using A = accumulate_t<T>;
  for_each(n, [&](int64_t at) {
    const int64_t segment = at / s.width, i = at % s.width;
    T best = static_cast<T>(static_cast<A>(s.empty));
    int64_t where = -1;
    for (int64_t k = s.start[segment]; k < s.start[segment + 1]; ++k) {
      const T element = static_cast<const T*>(s.x)[s.order[k] * s.width + i];
      const A v = static_cast<A>(element), b = static_cast<A>(best);
      if (where < 0 || v > b || (v != v && b == b)) {
        best = element;
        where = s.order[k];
      }
    }
    static_cast<T*>(s.values)[at] = best;
    s.rows[at] = where;
  });
}

template <class T>
__global__ void spread_max(SpreadExtremes s, int64_t n) {
  for_each(n, [&](int64_t at) {
    const int64_t k = at / s.width, from = s.ids[k] * s.width + at % s.width;
    static_cast<T*>(s.dx)[at] = s.rows[from] == k ? static_cast<const T*>(s.dy)[from] : T(0);
  });
}

// Calls fn(T{}) with an unsigned integer of that many bytes.
template <class Fn>
void dispatch_size(int64_t size, Fn fn) {
  if (size == 1) return fn(uint8_t{});
  if (size == 2) return fn(uint16_t{});
  if (size == 4) return fn(uint32_t{});
  fn(uint64_t{});
}

void run_take(const TakeRows& t) {
  const int64_t n = t.e.outer * t.e.count * t.e.inner;
  if (t.from == t.to) {
    dispatch_size(t.size, [&](auto word) {
      using T = decltype(word);
      launch_each(take<T, T>, n, t);
    });
    return;
  }
  dispatch_floating(t.from, [&](auto from) {
    dispatch_floating(t.to, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      if constexpr (!std::is_same_v<From, To>) {
        launch_each(take<From, To>, n, t);
      }
    });
  });
}

// Calls fn(From{}, A{}) for the types of a sum: f64 into f64, others into either.
template <class Fn>
void dispatch_sum(DType from, DType to, Fn fn) {
  dispatch_floating(from, [&](auto type) {
    if (to == DType::f64) return fn(type, double{});
    fn(type, float{});
  });
}

void run_add(const AddRows& t) {
  dispatch_sum(t.from, t.to, [&](auto from, auto sum) {
    launch_each(add_rows<decltype(from), decltype(sum)>, t.e.outer * t.e.n * t.e.inner, t);
  });
}

void run_gather(const GatherAlong& t) {
  dispatch_size(t.size, [&](auto word) {
    launch_each(gather<decltype(word)>, t.e.outer * t.e.count * t.e.inner, t);
  });
}

void run_scatter(const ScatterAlong& t) {
  dispatch_sum(t.from, t.to, [&](auto from, auto sum) {
    launch_each(scatter<decltype(from), decltype(sum)>, t.e.outer * t.e.inner, t);
  });
}

void run_put(const PutRows& t) {
  dispatch_size(t.size, [&](auto word) {
    launch_each(put<decltype(word)>, t.e.outer * t.e.n * t.e.inner, t);
  });
}

void run_segment_max(const SegmentExtremes& s) {
  dispatch_floating(s.dtype, [&](auto type) {
    launch_each(segment_max<decltype(type)>, s.segments * s.width, s);
  });
}

void run_spread_max(const SpreadExtremes& s) {
  dispatch_size(s.size,
                [&](auto word) { launch_each(spread_max<decltype(word)>, s.count * s.width, s); });
}

}  // namespace

void provide_index() {
  take_cuda.provide(run_take);
  take_backward_cuda.provide(run_add);
  gather_along_cuda.provide(run_gather);
  scatter_along_cuda.provide(run_scatter);
  put_rows_cuda.provide(run_put);
  segment_max_cuda.provide(run_segment_max);
  spread_max_cuda.provide(run_spread_max);
}

}  // namespace heed::kernels::cuda
