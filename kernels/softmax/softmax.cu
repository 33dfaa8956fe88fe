// A block a row where slices are rows, a thread a slice where they are columns (neighbouring
// threads, neighbouring columns). A slice is read twice, the second time from cache: once for the
// largest element and the sum together, once for the result.
#include "kernels/cuda/functors.h"
#include "kernels/cuda/rows.h"
#include "kernels/softmax/slices.h"

namespace heed::kernels::cuda {
namespace {

using on_device::exp;
using on_device::log;

constexpr int kColumnThreads = 128;

// What is taken off every element, and what the exponentials are scaled by. A slice that holds an
// infinity throughout, or a positive one, has no finite sum.
template <class A>
struct Normaliser {
  A shift, scale;
  __device__ explicit Normaliser(const ExpSum<A>& s, bool log_of) {
    const A sum = s.largest - s.largest == A(0) ? s.sum : s.largest - s.largest;
    shift = log_of ? s.largest + log(sum) : s.largest;
    scale = A(1) / sum;
  }
  __device__ A operator()(A x, bool log_of) const {
    return log_of ? x - shift : exp(x - shift) * scale;
  }
};

template <class T>
__global__ void forward_rows(SoftmaxSlices s, int64_t rows, bool wide) {
  using A = accumulate_t<T>;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* x = static_cast<const T*>(s.in) + row * s.n;
    T* y = static_cast<T*>(s.out) + row * s.n;
    ExpSum<A> mine = ExpSum<A>::none();
    for_row<T>(s.n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value];
      load(x + i, v);
      for (const A value : v) mine.add(value);
    });
    const Normaliser<A> normaliser(block_exp_sum(mine), s.log);
    for_row<T>(s.n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value];
      load(x + i, v);
      for (A& value : v) value = normaliser(value, s.log);
      store(v, y + i);
    });
  }
}

template <class A>
__device__ A slope(A dy, A y, A sum, bool log_of) {
  return log_of ? dy - exp(y) * sum : y * (dy - sum);
}

template <class T>
__global__ void backward_rows(SoftmaxSlices s, int64_t rows, bool wide) {
  using A = accumulate_t<T>;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* dy = static_cast<const T*>(s.in) + row * s.n;
    const T* y = static_cast<const T*>(s.y) + row * s.n;
    T* dx = static_cast<T*>(s.out) + row * s.n;
    A mine = 0;
    for_row<T>(s.n, wide, [&](int64_t i, auto count) {
      A g[decltype(count)::value], v[decltype(count)::value];
      load(dy + i, g);
      load(y + i, v);
      for (int k = 0; k < count.value; ++k) mine += s.log ? g[k] : g[k] * v[k];
    });
    const A sum = block_sum(mine);
    for_row<T>(s.n, wide, [&](int64_t i, auto count) {
      A g[decltype(count)::value], v[decltype(count)::value];
      load(dy + i, g);
      load(y + i, v);
      for (int k = 0; k < count.value; ++k) v[k] = slope(g[k], v[k], sum, s.log);
      store(v, dx + i);
    });
  }
}

template <class T>
__global__ void columns(SoftmaxSlices s, int64_t outer) {
  using A = accumulate_t<T>;
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; c < outer * s.inner; c += step) {
    const int64_t first = c / s.inner * s.n * s.inner + c % s.inner;
    const T* in = static_cast<const T*>(s.in) + first;
    T* out = static_cast<T*>(s.out) + first;
    if (s.y == nullptr) {
      ExpSum<A> sum = ExpSum<A>::none();
      for (int64_t k = 0; k < s.n; ++k) sum.add(static_cast<A>(in[k * s.inner]));
      const Normaliser<A> normaliser(sum, s.log);
      for (int64_t k = 0; k < s.n; ++k) {
        out[k * s.inner] = static_cast<T>(normaliser(static_cast<A>(in[k * s.inner]), s.log));
      }
      continue;
    }
    const T* y = static_cast<const T*>(s.y) + first;
    A sum = 0;
    for (int64_t k = 0; k < s.n; ++k) {
      const A g = static_cast<A>(in[k * s.inner]);
      sum += s.log ? g : g * static_cast<A>(y[k * s.inner]);
    }
    for (int64_t k = 0; k < s.n; ++k) {
      out[k * s.inner] = static_cast<T>(
          slope(static_cast<A>(in[k * s.inner]), static_cast<A>(y[k * s.inner]), sum, s.log));
    }
  }
}

void run(const SoftmaxSlices& s, int64_t outer) {
  dispatch_floating(s.dtype, [&](auto type) {
    using T = decltype(type);
    if (s.inner > 1) {
      launch(columns<T>, grid_for(ceil_div(outer * s.inner, kColumnThreads)), kColumnThreads, 0,
             current_stream(), s, outer);
      return;
    }
    const bool wide = rows_are_wide<T>(s.n, s.in, s.y, s.out);
    launch(s.y == nullptr ? forward_rows<T> : backward_rows<T>, row_blocks(outer),
           row_threads<T>(s.n), 0, current_stream(), s, outer, wide);
  });
}

}  // namespace

void provide_softmax() { softmax_cuda.provide(run); }

}  // namespace heed::kernels::cuda
