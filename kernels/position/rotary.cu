// A thread a pair of features, or an unturned feature.
#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/position/rotary_rows.h"

namespace heed::kernels::cuda {
namespace {

template <class T>
__global__ void rotate(RotaryRows r, int64_t total) {
  using A = accumulate_t<T>;
  const int64_t per_row = r.width - r.pairs;  // pairs, then what stays
  for_each(total, [&](int64_t i) {
    const int64_t pair = i % per_row, row = i / per_row % r.rows;
    const int64_t h = i / (per_row * r.rows) % r.heads, b = i / (per_row * r.rows * r.heads);
    const T* x =
        static_cast<const T*>(r.x) + b * r.x_stride[0] + h * r.x_stride[1] + row * r.x_stride[2];
    T* y = static_cast<T*>(r.y) + b * r.y_stride[0] + h * r.y_stride[1] + row * r.y_stride[2];
    if (pair >= r.pairs) {
      y[r.pairs + pair] = x[r.pairs + pair];
      return;
    }
    const int64_t at = r.interleaved ? 2 * pair : pair;
    const int64_t other = r.interleaved ? at + 1 : at + r.pairs;
    if (h >= r.rotated_heads) {
      y[at] = x[at];
      y[other] = x[other];
      return;
    }
    const int64_t entry = b * r.table_batch_stride + row * r.pairs + pair;
    const A c = static_cast<const A*>(r.cos)[entry], s = static_cast<const A*>(r.sin)[entry];
    const A turn = r.inverse ? -s : s;
    const A first = static_cast<A>(x[at]), second = static_cast<A>(x[other]);
    y[at] = static_cast<T>(first * c - second * turn);
    y[other] = static_cast<T>(second * c + first * turn);
  });
}

void run(const RotaryRows& r) {
  const int64_t total = r.batch * r.heads * r.rows * (r.width - r.pairs);
  dispatch_floating(r.dtype, [&](auto type) { launch_each(rotate<decltype(type)>, total, r); });
}

}  // namespace

void provide_rotary() { rotary_cuda.provide(run); }

}  // namespace heed::kernels::cuda
