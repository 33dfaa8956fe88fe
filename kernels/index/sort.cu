// A bitonic sort (Batcher, 1968) of all columns together: log2(n) (log2(n) + 1) / 2 passes over
// pairs of keys. Keys are numbers of 64 bits in the order of the values, NaN the last; places
// settle the order of equals, so that it is the CPU's.
#include <bit>

#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/index/device_sort.h"

namespace heed::kernels::cuda {
namespace {

constexpr uint64_t kSign = uint64_t{1} << 63;

template <class T>
__device__ uint64_t key_of(T value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<uint64_t>(static_cast<int64_t>(value)) ^ kSign;
  } else {
    const double x = static_cast<double>(static_cast<accumulate_t<T>>(value));
    if (x != x) return ~uint64_t{0};
    if (x == 0.0) return kSign;  // either zero
    const auto bits = std::bit_cast<uint64_t>(x);
    return (bits & kSign) != 0 ? ~bits : bits | kSign;
  }
}

template <class T>
__global__ void fill(DeviceSort s, int64_t elements) {
  for_each(elements, [&](int64_t e) {
    const int64_t c = e / s.padded, k = e % s.padded;
    uint64_t key = ~uint64_t{0};  // of what fills up: behind all others, by its place
    if (k < s.n) {
      key = key_of(static_cast<const T*>(s.x)[(c / s.inner * s.n + k) * s.inner + c % s.inner]);
      if (s.descending) key = ~key;
    }
    s.keys[e] = key;
    s.places[e] = k;
  });
}

// Puts the pairs that are `distance` apart in order, ascending in every other run of `run`
// elements.
__global__ void put_in_order(DeviceSort s, int64_t run, int64_t distance, int64_t pairs) {
  for_each(pairs, [&](int64_t p) {
    const int64_t a = p / distance * 2 * distance + p % distance, b = a + distance;
    const bool ascending = a % s.padded / run % 2 == 0;
    const uint64_t ka = s.keys[a], kb = s.keys[b];
    const int64_t pa = s.places[a], pb = s.places[b];
    const bool in_order = ka != kb ? ka < kb : pa < pb;
    if (in_order == ascending) return;
    s.keys[a] = kb;
    s.keys[b] = ka;
    s.places[a] = pb;
    s.places[b] = pa;
  });
}

__global__ void take_first(DeviceSort s, int64_t elements) {
  for_each(elements, [&](int64_t e) {
    const int64_t i = e % s.inner, k = e / s.inner % s.count, o = e / s.inner / s.count;
    s.indices[e] = s.places[(o * s.inner + i) * s.padded + k];
  });
}

// Calls fn(T{}) for any type.
template <class Fn>
void dispatch_all(DType dtype, Fn fn) {
  if (dtype == DType::i32) return fn(int32_t{});
  if (dtype == DType::i64) return fn(int64_t{});
  if (dtype == DType::u8) return fn(uint8_t{});
  if (dtype == DType::boolean) return fn(bool{});
  if (dtype == DType::f16) return fn(float16{});
  dispatch_floating(dtype, fn);
}

void run(const DeviceSort& s) {
  const int64_t elements = s.outer * s.inner * s.padded;
  dispatch_all(s.dtype, [&](auto type) { launch_each(fill<decltype(type)>, elements, s); });
  for (int64_t run = 2; run <= s.padded; run *= 2) {
    for (int64_t distance = run / 2; distance > 0; distance /= 2) {
      launch_each(put_in_order, elements / 2, s, run, distance);
    }
  }
  launch_each(take_first, s.outer * s.count * s.inner, s);
}

}  // namespace

void provide_sort() { sort_cuda.provide(run); }

}  // namespace heed::kernels::cuda
