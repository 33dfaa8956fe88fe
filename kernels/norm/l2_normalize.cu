// Along the last dimension a block a vector; along another one a thread a vector, neighbouring
// threads neighbouring ones. 2 reads and a write of an element forward, 4 and 1 backward, half of
// the reads from cache.
#include "kernels/cuda/each.h"
#include "kernels/cuda/rows.h"
#include "kernels/norm/unit_slices.h"

namespace heed::kernels::cuda {
namespace {

template <class T>
struct Slices {
  using A = accumulate_t<T>;
  const T *x, *other;  // other: what is scaled, x forward and dy backward
  A* inverse;
  T* out;
  int64_t n, inner;
  A eps;
  bool backward;

  explicit Slices(const UnitSlices& s)
      : x(static_cast<const T*>(s.x)),
        other(static_cast<const T*>(s.dy != nullptr ? s.dy : s.x)),
        inverse(static_cast<A*>(s.inverse)),
        out(static_cast<T*>(s.out)),
        n(s.n),
        inner(s.inner),
        eps(static_cast<A>(s.eps)),
        backward(s.dy != nullptr) {}

  /// 1 / |x|, of the sum of squares.
  __device__ A inverse_of(A squares) const {
    const A length = on_device::sqrt(squares);
    return A(1) / (length > eps ? length : eps);
  }
  /// The factor of x in dx is -r^3 product, or 0 below eps.
  __device__ bool has_slope(A r) const { return backward && r * eps < A(1); }
  /// An element of the result, in the CPU's order and with one rounding of the sum as there: of a
  /// vector of one element the slope is the small difference of large numbers.
  __device__ static A scaled(A other, A r, A x, A slope) {
    if constexpr (sizeof(A) == sizeof(double)) {
      return ::fma(x, slope, other * r);
    } else {
      return ::fmaf(x, slope, other * r);
    }
  }
};

template <class T>
__global__ void unit_rows(Slices<T> s, int64_t rows, bool wide) {
  using A = accumulate_t<T>;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T *x = s.x + row * s.n, *other = s.other + row * s.n;
    A mine = 0;
    for_row<T>(s.n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value], w[decltype(count)::value];
      load(x + i, v);
      load(other + i, w);
      for (int k = 0; k < count.value; ++k) mine += v[k] * w[k];
    });
    const A product = block_sum(mine);
    const A r = s.backward ? s.inverse[row] : s.inverse_of(product);
    if (!s.backward && threadIdx.x == 0) s.inverse[row] = r;
    const A slope = s.has_slope(r) ? -r * r * r * product : A(0);
    for_row<T>(s.n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value], w[decltype(count)::value];
      load(x + i, v);
      load(other + i, w);
      for (int k = 0; k < count.value; ++k) w[k] = s.scaled(w[k], r, v[k], slope);
      store(w, s.out + row * s.n + i);
    });
  }
}

template <class T>
__global__ void unit_columns(Slices<T> s, int64_t columns) {
  using A = accumulate_t<T>;
  for_each(columns, [&](int64_t c) {
    const int64_t first = c / s.inner * s.n * s.inner + c % s.inner;
    A product = 0;
    for (int64_t k = 0; k < s.n; ++k) {
      const int64_t at = first + k * s.inner;
      product += static_cast<A>(s.x[at]) * static_cast<A>(s.other[at]);
    }
    const A r = s.backward ? s.inverse[c] : s.inverse_of(product);
    if (!s.backward) s.inverse[c] = r;
    const A slope = s.has_slope(r) ? -((r * r) * (r * product)) : A(0);
    for (int64_t k = 0; k < s.n; ++k) {
      const int64_t at = first + k * s.inner;
      const A value = s.scaled(static_cast<A>(s.other[at]), r, static_cast<A>(s.x[at]), slope);
      s.out[at] = static_cast<T>(value);
    }
  });
}

void run(const UnitSlices& slices, int64_t blocks) {
  dispatch_floating(slices.dtype, [&](auto type) {
    using T = decltype(type);
    const Slices<T> s(slices);
    if (s.inner > 1) return launch_each(unit_columns<T>, blocks * s.inner, s);
    launch(unit_rows<T>, row_blocks(blocks), row_threads<T>(s.n), 0, current_stream(), s, blocks,
           rows_are_wide<T>(s.n, s.x, s.other, s.out));
  });
}

}  // namespace

void provide_l2_normalize() { l2_normalize_cuda.provide(run); }

}  // namespace heed::kernels::cuda
