// A block a row of V logits: sums in one reading, losses or slopes in a second, from cache for rows
// that fit.
#include "kernels/cuda/rows.h"
#include "kernels/loss/distribution_rows.h"

namespace heed::kernels::cuda {
namespace {

using on_device::exp;
using on_device::log;

// A row as its block reads it.
template <class T>
struct Row {
  using A = accumulate_t<T>;
  int64_t n;
  bool wide;

  /// Sum over the row of fn(logit, target), of all threads.
  template <class Fn>
  __device__ A sum(const T* x, const T* t, Fn fn) const {
    A mine = 0;
    for_row<T>(n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value], w[decltype(count)::value];
      load(x + i, v);
      load(t + i, w);
      for (int k = 0; k < count.value; ++k) mine += fn(v[k], w[k]);
    });
    return block_sum(mine);
  }

  /// log sum exp(scale x), for a positive scale.
  __device__ A log_sum_exp(const T* x, A scale) const {
    ExpSum<A> mine = ExpSum<A>::none();
    for_row<T>(n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value];
      load(x + i, v);
      for (const A value : v) mine.add(scale * value);
    });
    const ExpSum<A> all = block_exp_sum(mine);
    return all.largest + log(all.sum);
  }

  /// dx = fn(logit, target).
  template <class Fn>
  __device__ void map(const T* x, const T* t, T* dx, Fn fn) const {
    for_row<T>(n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value], w[decltype(count)::value];
      load(x + i, v);
      load(t + i, w);
      for (int k = 0; k < count.value; ++k) v[k] = fn(v[k], w[k]);
      store(v, dx + i);
    });
  }
};

template <class T, class A = accumulate_t<T>>
__device__ A loss_of_row(const DistributionRows& a, const Row<T>& row, const T* x, const T* t) {
  const A c = static_cast<A>(a.parameter);
  if (a.kind == RowLoss::distillation) {
    const A scale = A(1) / c;
    const A lse = row.log_sum_exp(x, scale), lse_t = row.log_sum_exp(t, scale);
    const A expected = row.sum(x, t, [&](A student, A teacher) {
      return exp(scale * teacher - lse_t) * scale * (teacher - student);
    });
    return c * c * (expected - lse_t + lse);
  }
  const A lse = row.log_sum_exp(x, A(1));
  if (a.kind == RowLoss::z) return lse * lse;
  const A targets = (A(1) - c) * row.sum(x, t, [](A, A target) { return target; }) + c;
  const A spread =
      c > A(0) ? c * row.sum(x, t, [](A v, A) { return v; }) / static_cast<A>(row.n) : A(0);
  return lse * targets - (A(1) - c) * row.sum(x, t, [](A v, A target) { return v * target; }) -
         spread;
}

template <class T, class A = accumulate_t<T>>
__device__ void gradient_of_row(const DistributionRows& a, const Row<T>& row, const T* x,
                                const T* t, A row_scale, T* dx) {
  const A c = static_cast<A>(a.parameter);
  if (a.kind == RowLoss::distillation) {
    const A scale = A(1) / c, k = row_scale * c;
    const A lse = row.log_sum_exp(x, scale), lse_t = row.log_sum_exp(t, scale);
    return row.map(x, t, dx, [&](A student, A teacher) {
      return k * (exp(scale * student - lse) - exp(scale * teacher - lse_t));
    });
  }
  const A lse = row.log_sum_exp(x, A(1));
  if (a.kind == RowLoss::z) {
    return row.map(x, t, dx, [&](A v, A) { return A(2) * lse * row_scale * exp(v - lse); });
  }
  const A targets = (A(1) - c) * row.sum(x, t, [](A, A target) { return target; }) + c;
  const A of_p = row_scale * targets, of_t = row_scale * (A(1) - c);
  const A spread = row_scale * c / static_cast<A>(row.n);
  row.map(x, t, dx, [&](A v, A target) { return of_p * exp(v - lse) - of_t * target - spread; });
}

template <class T>
__global__ void distributions(DistributionRows a, int64_t rows, bool wide) {
  using A = accumulate_t<T>;
  const Row<T> whole = {a.classes, wide};
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64_t at = row * a.classes;
    const T* x = static_cast<const T*>(a.logits) + at;
    const T* t = a.targets == nullptr ? x : static_cast<const T*>(a.targets) + at;
    if (a.losses != nullptr) {
      const A loss = loss_of_row(a, whole, x, t);
      if (threadIdx.x == 0) static_cast<A*>(a.losses)[row] = loss;
    } else {
      gradient_of_row(a, whole, x, t, static_cast<const A*>(a.scales)[row],
                      static_cast<T*>(a.gradient) + at);
    }
  }
}

void run(const DistributionRows& a, int64_t rows) {
  dispatch_floating(a.dtype, [&](auto type) {
    using T = decltype(type);
    launch(distributions<T>, row_blocks(rows), row_threads<T>(a.classes), 0, current_stream(), a,
           rows, rows_are_wide<T>(a.classes, a.logits, a.targets, a.gradient));
  });
}

}  // namespace

void provide_distribution() { distribution_cuda.provide(run); }

}  // namespace heed::kernels::cuda
