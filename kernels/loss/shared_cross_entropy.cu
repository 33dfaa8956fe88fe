// A block a row: three passes over this rank's logits for the facts, which leave exponentials, and
// one for the gradient.
#include "kernels/cuda/rows.h"
#include "kernels/loss/shared_rows.h"

namespace heed::kernels::cuda {
namespace {

using on_device::exp;

template <class T>
struct Scratch {
  T warp[32];
};

// Threads keep to their columns, so a row needs no barrier but those of its sums.
template <class T>
__global__ void facts(SharedRows a, int64_t rows) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    RowFacts<T> f = {0, 0, 0, 0};
    if (a.counted[row]) {
      T* x = static_cast<T*>(a.logits) + row * a.classes;
      const int64_t target = a.targets[row];
      if (target >= 0 && target < a.classes) f.target = x[target];
      T largest = -__builtin_huge_valf(), total = 0, sum = 0;
      for (int64_t i = threadIdx.x; i < a.classes; i += blockDim.x) {
        largest = Larger()(largest, x[i]);
        total += x[i];
      }
      f.largest = block_all(largest, shared<Scratch<T>>().warp, Larger());
      f.total = block_sum(total);  // every thread has read the target's logit
      for (int64_t i = threadIdx.x; i < a.classes; i += blockDim.x) {
        x[i] = exp(x[i] - f.largest);
        sum += x[i];
      }
      f.sum = block_sum(sum);
    }
    if (threadIdx.x == 0) static_cast<RowFacts<T>*>(a.facts)[row] = f;
  }
}

template <class T, class U>
__global__ void gradients(SharedRows a, int64_t rows) {
  const T base = static_cast<T>(a.base);
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* e = static_cast<const T*>(a.logits) + row * a.classes;
    U* dx = static_cast<U*>(a.gradient) + row * a.classes;  // may lie where the logits do
    const bool counted = a.counted[row] != 0;
    const T factor = counted ? static_cast<const T*>(a.factors)[row] : T(0);
    for (int64_t i = threadIdx.x; i < a.classes; i += blockDim.x) {
      const T less = i == a.targets[row] ? static_cast<T>(a.at_target) : base;
      dx[i] = static_cast<U>(counted ? e[i] * factor - less : T(0));
    }
  }
}

template <class T>
void run_rows(const SharedRows& a, int64_t rows) {
  const unsigned blocks = row_blocks(rows), threads = row_threads<T>(a.classes);
  if (a.gradient == nullptr) {
    return launch(facts<T>, blocks, threads, 0, current_stream(), a, rows);
  }
  launch(a.gradient_dtype == DType::bf16 ? gradients<T, bfloat16> : gradients<T, T>, blocks,
         threads, 0, current_stream(), a, rows);
}

void run(const SharedRows& a, int64_t rows) {
  a.dtype == DType::f64 ? run_rows<double>(a, rows) : run_rows<float>(a, rows);
}

}  // namespace

void provide_shared_cross_entropy() { shared_rows_cuda.provide(run); }

}  // namespace heed::kernels::cuda
