// A block a row, which is read from memory once: the statistics and both inner products come from
// the first-level cache. The backward pass gives each block a run of rows, so that the sums of
// dweight and dbias stay in shared memory; a thread owns columns, so none of them is contended.
// Forward moves 2 elements an element (4 with the residual), backward 3 (4).
#include "kernels/cuda/rows.h"
#include "kernels/norm/rows.h"

namespace heed::kernels::cuda {
namespace {

template <class T>
__global__ void forward(NormForwardRows a, int64_t rows, bool wide) {
  using A = accumulate_t<T>;
  const int64_t n = a.width;
  const auto* weight = static_cast<const A*>(a.weight);
  const auto* bias = static_cast<const A*>(a.bias);
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* x = static_cast<const T*>(a.x) + row * n;
    A mine = 0;
    if (a.residual != nullptr) {
      const T* residual = static_cast<const T*>(a.residual) + row * n;
      T* sum = static_cast<T*>(a.sum) + row * n;
      for_row<T>(n, wide, [&](int64_t i, auto count) {
        constexpr int kCount = decltype(count)::value;
        A v[kCount], r[kCount];
        load(x + i, v);
        load(residual + i, r);
        for (int k = 0; k < kCount; ++k) v[k] += r[k];
        store(v, sum + i);
      });
      x = sum;  // as rounded: the backward pass sees the same. A thread reads what it wrote
    }
    A mean = 0;
    if (a.centred) {
      for_row<T>(n, wide, [&](int64_t i, auto count) {
        A v[decltype(count)::value];
        load(x + i, v);
        for (const A value : v) mine += value;
      });
      mean = block_sum(mine) / static_cast<A>(n);
      if (threadIdx.x == 0) static_cast<A*>(a.mean)[row] = mean;
    }
    A squares = 0;
    for_row<T>(n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value];
      load(x + i, v);
      for (const A value : v) squares += (value - mean) * (value - mean);
    });
    const A variance = block_sum(squares) / static_cast<A>(n);
    const A rstd = A(1) / on_device::sqrt(variance + static_cast<A>(a.eps));
    if (threadIdx.x == 0) static_cast<A*>(a.rstd)[row] = rstd;
    T* out = static_cast<T*>(a.out) + row * n;
    for_row<T>(n, wide, [&](int64_t i, auto count) {
      constexpr int kCount = decltype(count)::value;
      A v[kCount];
      load(x + i, v);
      for (int k = 0; k < kCount; ++k) {
        v[k] = (v[k] - mean) * rstd;
        if (weight != nullptr) v[k] *= weight[i + k];
        if (bias != nullptr) v[k] += bias[i + k];
      }
      store(v, out + i);
    });
  }
}

// Two sums at once.
template <class A>
struct Sums {
  A g, gx;
};
struct PlusSums {
  template <class A>
  __device__ Sums<A> operator()(const Sums<A>& a, const Sums<A>& b) const {
    return {a.g + b.g, a.gx + b.gx};
  }
};

// Shared: dweight [n], dbias [n] (accumulation type), where they fit; else they are added to in
// global memory, by the same threads.
template <class T>
__global__ void backward(NormBackwardRows a, int64_t rows, NormPartials partials, bool wide,
                         bool in_shared) {
  using A = accumulate_t<T>;
  struct Scratch {
    Sums<A> warp[32];
  };
  const int64_t n = a.width;
  const auto* weight = static_cast<const A*>(a.weight);
  A* dweight = static_cast<A*>(partials.dweight);
  A* dbias = static_cast<A*>(partials.dbias);
  if (dweight != nullptr) dweight += blockIdx.x * n;
  if (dbias != nullptr) dbias += blockIdx.x * n;
  A* const dweight_out = dweight;
  A* const dbias_out = dbias;
  if (in_shared) {
    A* sums = dynamic_shared<A>();
    if (dweight != nullptr) dweight = sums;
    if (dbias != nullptr) dbias = sums + n;
  }
  // a thread keeps to its columns throughout, so these need no barrier
  const auto for_columns = [&](auto fn) { for_row<T>(n, wide, fn); };
  for_columns([&](int64_t i, auto count) {
    for (int k = 0; k < count.value; ++k) {
      if (dweight != nullptr) dweight[i + k] = 0;
      if (dbias != nullptr) dbias[i + k] = 0;
    }
  });
  const int64_t per_block = (rows + gridDim.x - 1) / gridDim.x;
  const int64_t first = blockIdx.x * per_block;
  const int64_t last = first + per_block < rows ? first + per_block : rows;
  for (int64_t row = first; row < last; ++row) {
    const T* x = static_cast<const T*>(a.x) + row * n;
    const T* dy = static_cast<const T*>(a.dy) + row * n;
    const A mean = a.centred ? static_cast<const A*>(a.mean)[row] : A(0);
    const A rstd = static_cast<const A*>(a.rstd)[row];
    Sums<A> mine = {0, 0};
    for_columns([&](int64_t i, auto count) {
      constexpr int kCount = decltype(count)::value;
      A v[kCount], g[kCount];
      load(x + i, v);
      load(dy + i, g);
      for (int k = 0; k < kCount; ++k) {
        const A x_hat = (v[k] - mean) * rstd;
        const A gw = weight != nullptr ? g[k] * weight[i + k] : g[k];
        mine.g += gw;
        mine.gx += gw * x_hat;
        if (dweight != nullptr) dweight[i + k] += g[k] * x_hat;
        if (dbias != nullptr) dbias[i + k] += g[k];
      }
    });
    if (a.dx == nullptr) continue;
    const Sums<A> all = block_all(mine, shared<Scratch>().warp, PlusSums());
    const A mean_g = a.centred ? all.g / static_cast<A>(n) : A(0);
    const A mean_gx = all.gx / static_cast<A>(n);
    const T* dsum = a.dsum != nullptr ? static_cast<const T*>(a.dsum) + row * n : nullptr;
    T* dx = static_cast<T*>(a.dx) + row * n;
    for_columns([&](int64_t i, auto count) {
      constexpr int kCount = decltype(count)::value;
      A v[kCount], g[kCount], more[kCount] = {};
      load(x + i, v);
      load(dy + i, g);
      if (dsum != nullptr) load(dsum + i, more);
      for (int k = 0; k < kCount; ++k) {
        const A x_hat = (v[k] - mean) * rstd;
        const A gw = weight != nullptr ? g[k] * weight[i + k] : g[k];
        v[k] = rstd * (gw - mean_g - x_hat * mean_gx) + more[k];
      }
      store(v, dx + i);
    });
  }
  if (!in_shared) return;
  for_columns([&](int64_t i, auto count) {
    for (int k = 0; k < count.value; ++k) {
      if (dweight != nullptr) dweight_out[i + k] = dweight[i + k];
      if (dbias != nullptr) dbias_out[i + k] = dbias[i + k];
    }
  });
}

void run(const NormForwardRows& a, int64_t rows) {
  dispatch_floating(a.dtype, [&](auto type) {
    using T = decltype(type);
    const bool wide = rows_are_wide<T>(a.width, a.x, a.residual, a.sum, a.out);
    launch(forward<T>, row_blocks(rows), row_threads<T>(a.width), 0, current_stream(), a, rows,
           wide);
  });
}

void run_backward(const NormBackwardRows& a, int64_t rows, const NormPartials& partials) {
  constexpr size_t kMostShared = 40 << 10;  // beside the static scratch
  dispatch_floating(a.dtype, [&](auto type) {
    using T = decltype(type);
    const bool wide = rows_are_wide<T>(a.width, a.x, a.dy, a.dsum, a.dx);
    const size_t shared_bytes = 2 * static_cast<size_t>(a.width) * sizeof(accumulate_t<T>);
    const bool in_shared = shared_bytes <= kMostShared;
    launch(backward<T>, static_cast<unsigned>(partials.chunks), row_threads<T>(a.width),
           in_shared ? shared_bytes : 0, current_stream(), a, rows, partials, wide, in_shared);
  });
}

}  // namespace

void provide_norm() {
  norm_cuda.provide(run);
  norm_backward_cuda.provide(run_backward);
}

}  // namespace heed::kernels::cuda
