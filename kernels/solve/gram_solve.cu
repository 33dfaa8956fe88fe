// What lies between the products of conjugate gradients on a device: a warp a row.
#include <cmath>

#include "kernels/cuda/functors.h"
#include "kernels/cuda/reduce.h"
#include "kernels/solve/device_gram.h"

namespace heed::kernels::cuda {
namespace {

constexpr int kWarps = 4;  // of a block
constexpr int32_t kDone = 0, kAtWork = 1, kNotFinite = 2, kNotPositive = 3;

template <class Fn>
__device__ void for_rows(int64_t rows, Fn fn) {
  for (int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; r < rows;
       r += int64_t{gridDim.x} * kWarps) {
    fn(r);
  }
}

/// Calls fn(i) for the elements of a row that are this lane's.
template <class Fn>
__device__ void for_lane(int64_t n, Fn fn) {
  for (int64_t i = threadIdx.x % kWarp; i < n; i += kWarp) fn(i);
}

template <class T, class Fn>
__device__ T row_sum(int64_t n, Fn fn) {
  T mine = 0;
  for_lane(n, [&](int64_t i) { mine += fn(i); });
  return warp_all(mine, Plus());
}

template <class T>
__device__ T dot(const T* a, const T* b, int64_t n) {
  return row_sum<T>(n, [&](int64_t i) { return a[i] * b[i]; });
}

template <class T, class P>
__device__ T* row_of(P* data, int64_t row, int64_t width) {
  return static_cast<T*>(data) + row * width;
}

__device__ bool first_lane() { return threadIdx.x % kWarp == 0; }

template <class T>
__global__ void start(GramState s) {
  const int64_t n = s.e.dim;
  for_rows(s.e.rows, [&](int64_t row) {
    const T* y = row_of<const T>(s.y, row, n);
    T mine = 0;
    for_lane(n, [&](int64_t i) { mine = Larger()(mine, on_device::abs(y[i])); });
    const T largest = warp_all(mine, Larger());
    const bool finite = largest <= (sizeof(T) == 8 ? T(1.7976931348623157e308) : T(3.4028235e38));
    int exponent = 0;
    if (finite) frexp(largest, &exponent);
    T *r = row_of<T>(s.r, row, n), *p = row_of<T>(s.p, row, n), *x = row_of<T>(s.x, row, n);
    for_lane(n, [&](int64_t i) {
      r[i] = p[i] = finite ? ldexp(y[i], -exponent) : T(0);
      x[i] = T(0);
    });
    const T norm = dot(r, r, n);
    if (!first_lane()) return;
    static_cast<T*>(s.norm)[row] = norm;
    static_cast<T*>(s.enough)[row] = static_cast<T>(s.least * s.least) * norm;
    s.exponent[row] = exponent;
    s.status[row] = !finite ? kNotFinite : norm > T(0) ? kAtWork : kDone;
  });
}

template <class T>
__global__ void step(GramState s) {
  const int64_t n = s.e.dim;
  for_rows(s.e.rows, [&](int64_t row) {
    if (s.status[row] != kAtWork) return;
    T *x = row_of<T>(s.x, row, n), *r = row_of<T>(s.r, row, n), *p = row_of<T>(s.p, row, n),
      *ap = row_of<T>(s.ap, row, n);
    const T* centre = s.centre != nullptr ? row_of<const T>(s.centre, row, n) : nullptr;
    const T sum = centre != nullptr ? static_cast<const T*>(s.sums)[row] : T(0);
    const T ridge = static_cast<T>(s.ridge);
    for_lane(n, [&](int64_t i) {
      ap[i] += ridge * p[i] - (centre != nullptr ? sum * centre[i] : T(0));
    });
    const T curvature = dot(p, ap, n), norm = static_cast<const T*>(s.norm)[row];
    if (!(curvature > T(0))) {
      __syncwarp();  // all lanes have read the status
      if (first_lane()) {
        static_cast<T*>(s.curvature)[row] = curvature;
        s.status[row] = kNotPositive;
      }
      return;
    }
    const T size = norm / curvature;
    for_lane(n, [&](int64_t i) {
      x[i] += size * p[i];
      r[i] -= size * ap[i];
    });
    const T next = dot(r, r, n), by = next / norm;
    const bool done = next <= static_cast<const T*>(s.enough)[row];
    for_lane(n, [&](int64_t i) { p[i] = done ? T(0) : r[i] + by * p[i]; });
    if (!first_lane()) return;
    static_cast<T*>(s.norm)[row] = next;
    if (done) s.status[row] = kDone;
  });
}

template <class T>
__global__ void finish(GramState s) {
  const int64_t n = s.e.dim;
  for_rows(s.e.rows, [&](int64_t row) {
    T* x = row_of<T>(s.x, row, n);
    for_lane(n, [&](int64_t i) { x[i] = ldexp(x[i], s.exponent[row]); });
  });
}

template <class T>
__global__ void weigh(GramPairs g) {
  const int64_t m = g.e.keys, n = g.e.dim;
  for_rows(g.e.rows, [&](int64_t row) {
    T offset = 0;
    if (g.centre != nullptr) {
      offset = dot(row_of<const T>(g.x, row, n), row_of<const T>(g.centre, row, n), n);
    }
    const T* w = g.weights != nullptr ? row_of<const T>(g.weights, row, m) : nullptr;
    T* pairs = row_of<T>(g.pairs, row, m);
    const T sum = row_sum<T>(m, [&](int64_t j) {
      return pairs[j] = (w != nullptr ? w[j] : T(1)) * (pairs[j] - offset);
    });
    if (g.sums != nullptr && first_lane()) static_cast<T*>(g.sums)[row] = sum;
  });
}

template <class T>
__global__ void slopes(GramSlopes g) {
  const int64_t m = g.e.keys, n = g.e.dim;
  for_rows(g.e.rows, [&](int64_t row) {
    T *a = row_of<T>(g.a, row, m), *b = row_of<T>(g.b, row, m), *dw = row_of<T>(g.dw, row, m);
    const T* w = row_of<const T>(g.weights, row, m);
    T mine_a = 0, mine_b = 0;
    for_lane(m, [&](int64_t j) {
      dw[j] = -a[j] * b[j];
      a[j] *= -w[j];
      b[j] *= -w[j];
      mine_a += a[j];
      mine_b += b[j];
    });
    const T sum_a = warp_all(mine_a, Plus()), sum_b = warp_all(mine_b, Plus());
    if (g.dc == nullptr) return;
    const T *x = row_of<const T>(g.x, row, n), *u = row_of<const T>(g.u, row, n);
    T* dc = row_of<T>(g.dc, row, n);
    for_lane(n, [&](int64_t i) { dc[i] = -(sum_b * x[i] + sum_a * u[i]); });
  });
}

template <class Args>
void launch_rows(void (*f32)(Args), void (*f64)(Args), const Args& a) {
  launch(a.e.dtype == DType::f64 ? f64 : f32, grid_for(ceil_div(a.e.rows, kWarps)), kWarps * kWarp,
         0, current_stream(), a);
}

}  // namespace

void provide_gram_solve() {
  gram_start_cuda.provide([](const GramState& s) { launch_rows(start<float>, start<double>, s); });
  gram_step_cuda.provide([](const GramState& s) { launch_rows(step<float>, step<double>, s); });
  gram_finish_cuda.provide(
      [](const GramState& s) { launch_rows(finish<float>, finish<double>, s); });
  gram_weigh_cuda.provide([](const GramPairs& g) { launch_rows(weigh<float>, weigh<double>, g); });
  gram_slopes_cuda.provide(
      [](const GramSlopes& g) { launch_rows(slopes<float>, slopes<double>, g); });
}

}  // namespace heed::kernels::cuda
