// A block a row of V logits: largest and sum in one reading, the gradient in a second (from cache,
// for rows that fit).
#include "kernels/cuda/rows.h"
#include "kernels/loss/logit_rows.h"

namespace heed::kernels::cuda {
namespace {

using on_device::exp;
using on_device::log;

template <class A>
struct RowFacts {
  A lse, loss;
};

// Of all threads of the block. Reads all of x before any thread returns.
template <class T>
__device__ RowFacts<accumulate_t<T>> facts_of(const T* x, const LogitRows& a, int64_t target,
                                              bool wide) {
  using A = accumulate_t<T>;
  const A smoothing = static_cast<A>(a.smoothing);
  ExpSum<A> mine = ExpSum<A>::none();
  A total = 0;
  for_row<T>(a.classes, wide, [&](int64_t i, auto count) {
    A v[decltype(count)::value];
    load(x + i, v);
    for (const A value : v) {
      mine.add(value);
      total += value;
    }
  });
  const A at_target = static_cast<A>(x[target]);
  const ExpSum<A> all = block_exp_sum(mine);
  const A lse = all.largest + log(all.sum);
  A loss = lse - (A(1) - smoothing) * at_target;
  if (smoothing > A(0)) loss -= smoothing * block_sum(total) / static_cast<A>(a.classes);
  return {lse, loss};
}

// U is the gradient's type; it may lie where the logits do.
template <class T, class U>
__global__ void rows_of_logits(LogitRows a, int64_t rows, bool wide) {
  using A = accumulate_t<T>;
  const int64_t n = a.classes;
  const A smoothing = static_cast<A>(a.smoothing), scale = static_cast<A>(a.scale);
  const A spread = smoothing / static_cast<A>(n);
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* x = static_cast<const T*>(a.logits) + row * n;
    const int64_t target = a.targets[row];
    RowFacts<A> facts = {0, 0};
    if (target >= 0) {
      if (a.losses == nullptr) {
        facts.lse = static_cast<const A*>(a.lse)[row];
      } else {
        facts = facts_of(x, a, target, wide);
      }
    }
    if (a.losses != nullptr && threadIdx.x == 0) {
      static_cast<A*>(a.losses)[row] = facts.loss;
      if (a.lse != nullptr) static_cast<A*>(a.lse)[row] = facts.lse;
    }
    if (a.gradient == nullptr) continue;
    U* dx = static_cast<U*>(a.gradient) + row * n;
    __syncthreads();  // logits that lie under the gradient have been read by all
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      const A wanted = spread + (i == target ? A(1) - smoothing : A(0));
      const A slope = target < 0 ? A(0) : (exp(static_cast<A>(x[i]) - facts.lse) - wanted) * scale;
      dx[i] = static_cast<U>(slope);
    }
  }
}

template <class T, class U>
void launch_rows(const LogitRows& a, int64_t rows) {
  launch(rows_of_logits<T, U>, row_blocks(rows), row_threads<T>(a.classes), 0, current_stream(), a,
         rows, rows_are_wide<T>(a.classes, a.logits));
}

void run(const LogitRows& a, int64_t rows) {
  if (a.dtype == DType::f64) return launch_rows<double, double>(a, rows);
  if (a.dtype == DType::bf16) return launch_rows<bfloat16, bfloat16>(a, rows);
  if (a.gradient_dtype == DType::bf16) return launch_rows<float, bfloat16>(a, rows);
  launch_rows<float, float>(a, rows);
}

}  // namespace

void provide_cross_entropy() { cross_entropy_cuda.provide(run); }

}  // namespace heed::kernels::cuda
