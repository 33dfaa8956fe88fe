// A block a matrix: a = l l^T column by column, then l y = b and l^T x = y. 3 D barriers for each
// of the factor and 4 D for the two substitutions.
#include <cmath>

#include "kernels/cuda/launch.h"
#include "kernels/solve/device_cholesky.h"

namespace heed::kernels::cuda {
namespace {

constexpr int kThreads = 128;

/// Calls fn(i) for i from `first` up to n, by the block's threads.
template <class Fn>
__device__ void for_thread(int64_t first, int64_t n, Fn fn) {
  for (int64_t i = first + threadIdx.x; i < n; i += blockDim.x) fn(i);
}

/// False, on all threads, at a pivot that is not positive and finite.
__device__ bool factorise(const DeviceCholesky& s, int64_t m, double* l) {
  const int64_t d = s.dim;
  for (int64_t j = 0; j < d; ++j) {
    for_thread(j, d, [&](int64_t i) {
      double sum = l[i * d + j];
      for (int64_t k = 0; k < j; ++k) sum -= l[i * d + k] * l[j * d + k];
      l[i * d + j] = sum;
    });
    __syncthreads();
    const double pivot = l[j * d + j];
    if (!(pivot > 0.0) || pivot == __builtin_huge_val()) {
      if (threadIdx.x == 0) {
        s.failed[m] = j;
        s.pivot[m] = pivot;
      }
      return false;
    }
    const double root = sqrt(pivot);
    __syncthreads();  // the pivot has been read
    for_thread(j, d, [&](int64_t i) { l[i * d + j] = i == j ? root : l[i * d + j] / root; });
    __syncthreads();
  }
  return true;
}

__device__ void substitute(const DeviceCholesky& s, const double* l, double* x) {
  const int64_t d = s.dim, columns = s.columns;
  const auto divide = [&](int64_t i) {
    for_thread(0, columns, [&](int64_t c) { x[i * columns + c] /= l[i * d + i]; });
    __syncthreads();
  };
  for (int64_t i = 0; i < d; ++i) {
    divide(i);
    for_thread(0, (d - 1 - i) * columns, [&](int64_t n) {
      const int64_t j = i + 1 + n / columns, c = n % columns;
      x[j * columns + c] -= l[j * d + i] * x[i * columns + c];
    });
    __syncthreads();
  }
  for (int64_t i = d - 1; i >= 0; --i) {
    divide(i);
    for_thread(0, i * columns, [&](int64_t n) {
      const int64_t j = n / columns, c = n % columns;
      x[j * columns + c] -= l[i * d + j] * x[i * columns + c];
    });
    __syncthreads();
  }
}

__global__ void solve(DeviceCholesky s) {
  const int64_t d = s.dim;
  for (int64_t m = blockIdx.x; m < s.count; m += gridDim.x) {
    const double* a = s.a + m * d * d;
    double* l = s.l + m * d * d;
    for_thread(0, d * d, [&](int64_t n) {
      const int64_t i = n / d, j = n % d;
      l[n] = 0.5 * (a[i * d + j] + a[j * d + i]);
    });
    if (threadIdx.x == 0) s.failed[m] = -1;
    __syncthreads();
    if (factorise(s, m, l)) substitute(s, l, s.x + m * d * s.columns);
  }
}

void run(const DeviceCholesky& s) {
  launch(solve, grid_for(s.count), kThreads, 0, current_stream(), s);
}

}  // namespace

void provide_cholesky() { cholesky_cuda.provide(run); }

}  // namespace heed::kernels::cuda
