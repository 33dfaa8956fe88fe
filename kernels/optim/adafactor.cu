// The sums of adafactor.cpp in f64: a block a row, a thread a column, and one block for what is
// summed over all rows. Nothing goes by the host. clip_units: a block a unit.
#include <cmath>

#include "kernels/cuda/each.h"
#include "kernels/cuda/rows.h"
#include "kernels/optim/device_adafactor.h"

namespace heed::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;

template <class T>
__device__ double wide(T value) {
  return static_cast<double>(static_cast<accumulate_t<T>>(value));
}

template <class T>
__device__ double slope(const DeviceAdafactor& a, int64_t i) {
  return a.grad_scale * wide(static_cast<const T*>(a.gradient)[i]);
}

template <class A>
__device__ void move(A& mean, double rate, double value) {
  mean = static_cast<A>(static_cast<double>(mean) + rate * (value - static_cast<double>(mean)));
}

/// Sum over i < n of fn(i), of all threads of a block.
template <class Fn>
__device__ double sum_of(int64_t n, Fn fn) {
  double mine = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) mine += fn(i);
  return block_sum(mine);
}

template <class T>
__global__ void row_moments(DeviceAdafactor a) {
  using A = accumulate_t<T>;
  for (int64_t r = blockIdx.x; r < a.height; r += gridDim.x) {
    const double sum = sum_of(a.width, [&](int64_t c) {
      const double g = slope<T>(a, r * a.width + c);
      return g * g + a.tiny;
    });
    if (threadIdx.x == 0) {
      move(static_cast<A*>(a.rows)[r], a.rate, sum / static_cast<double>(a.width));
    }
  }
}

// Of columns, or of single elements; and the columns' factors of the direction.
template <class T>
__global__ void column_moments(DeviceAdafactor a, int64_t n) {
  using A = accumulate_t<T>;
  for_each(n, [&](int64_t c) {
    double sum = 0;
    for (int64_t r = 0; r < a.height; ++r) {
      const double g = slope<T>(a, r * a.width + c);
      sum += g * g + a.tiny;
    }
    A& moment = static_cast<A*>(a.moment != nullptr ? a.moment : a.cols)[c];
    move(moment, a.rate, sum / static_cast<double>(a.height));
    a.of_col[c] = 1 / sqrt(static_cast<double>(moment));
  });
}

template <class T>
__global__ void mean_rows(DeviceAdafactor a) {
  using A = accumulate_t<T>;
  const A* rows = static_cast<const A*>(a.rows);
  const double sum = sum_of(a.height, [&](int64_t r) { return static_cast<double>(rows[r]); });
  if (threadIdx.x == 0) *a.mean_of_rows = sum / static_cast<double>(a.height);
}

template <class T>
__global__ void row_squares(DeviceAdafactor a) {
  using A = accumulate_t<T>;
  for (int64_t r = blockIdx.x; r < a.height; r += gridDim.x) {
    const double factor =
        a.rows == nullptr
            ? 1.0
            : sqrt(*a.mean_of_rows / static_cast<double>(static_cast<const A*>(a.rows)[r]));
    const double square = sum_of(a.width, [&](int64_t c) {
      const double d = slope<T>(a, r * a.width + c) * factor * a.of_col[c];
      return d * d;
    });
    const double size = sum_of(a.width, [&](int64_t c) {
      const double p = wide(static_cast<const T*>(a.parameter)[r * a.width + c]);
      return p * p;
    });
    if (threadIdx.x == 0) {
      a.of_row[r] = factor;
      a.squares[r] = square;
      a.sizes[r] = size;
    }
  }
}

__global__ void step_scale(DeviceAdafactor a) {
  const double n = static_cast<double>(a.height) * static_cast<double>(a.width);
  const double square = sqrt(sum_of(a.height, [&](int64_t r) { return a.squares[r]; }) / n);
  const double size = sqrt(sum_of(a.height, [&](int64_t r) { return a.sizes[r]; }) / n);
  if (threadIdx.x != 0) return;
  *a.scale = a.lr * (size > a.least_scale ? size : a.least_scale) / (square > 1.0 ? square : 1.0);
}

template <class T>
__global__ void update(DeviceAdafactor a, int64_t n) {
  const double keep = 1 - a.lr * a.weight_decay, scale = *a.scale;
  for_each(n, [&](int64_t i) {
    T& p = static_cast<T*>(a.parameter)[i];
    const double direction = slope<T>(a, i) * a.of_row[i / a.width] * a.of_col[i % a.width];
    p = static_cast<T>(static_cast<accumulate_t<T>>(keep * wide(p) - scale * direction));
  });
}

void run(const DeviceAdafactor& a) {
  dispatch_floating(a.dtype, [&](auto type) {
    using T = decltype(type);
    if (a.rows != nullptr) {
      launch(row_moments<T>, row_blocks(a.height), kThreads, 0, current_stream(), a);
      launch(mean_rows<T>, 1, kThreads, 0, current_stream(), a);
    }
    launch_each(column_moments<T>, a.width, a);
    launch(row_squares<T>, row_blocks(a.height), kThreads, 0, current_stream(), a);
    launch(step_scale, 1, kThreads, 0, current_stream(), a);
    launch_each(update<T>, a.height * a.width, a);
  });
}

template <class P, class G>
__global__ void clip(DeviceUnits u) {
  for (int64_t unit = blockIdx.x; unit < u.units; unit += gridDim.x) {
    const P* p = static_cast<const P*>(u.parameter) + unit * u.width;
    G* g = static_cast<G*>(u.gradient) + unit * u.width;
    const double size = sqrt(sum_of(u.width, [&](int64_t i) { return wide(p[i]) * wide(p[i]); }));
    const double norm = sqrt(sum_of(u.width, [&](int64_t i) { return wide(g[i]) * wide(g[i]); }));
    const double limit = u.factor * (size > u.eps ? size : u.eps);
    if (!(norm > limit)) continue;
    const auto scale = static_cast<accumulate_t<G>>(limit / norm);
    for (int64_t i = threadIdx.x; i < u.width; i += blockDim.x) {
      g[i] = static_cast<G>(static_cast<accumulate_t<G>>(g[i]) * scale);
    }
  }
}

void run_clip(const DeviceUnits& u) {
  dispatch_floating(u.parameter_dtype, [&](auto parameter) {
    dispatch_floating(u.gradient_dtype, [&](auto gradient) {
      launch(clip<decltype(parameter), decltype(gradient)>, row_blocks(u.units), kThreads, 0,
             current_stream(), u);
    });
  });
}

}  // namespace

void provide_adafactor() {
  adafactor_cuda.provide(run);
  clip_units_cuda.provide(run_clip);
}

}  // namespace heed::kernels::cuda
