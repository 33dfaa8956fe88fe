// A warp a row, which every part is read for once; the parts' shares are formed anew by each lane.
// The formulas are those of merge.cpp.
#include "kernels/attention/device_merge.h"
#include "kernels/cuda/functors.h"
#include "kernels/cuda/reduce.h"

namespace heed::kernels::cuda {
namespace {

using on_device::exp;
using on_device::log;

constexpr int kWarps = 4;  // of a block

/// Calls fn(row, lane) for all rows, a warp each.
template <class Fn>
__device__ void for_rows(int64_t rows, Fn fn) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t r = int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; r < rows;
       r += int64_t{gridDim.x} * kWarps) {
    fn(r, lane);
  }
}

template <class A>
__device__ A lse_of(const MergePart& part, int64_t r) {
  return static_cast<const A*>(part.lse)[r];
}

template <class A>
__device__ bool is_empty(A lse) {
  return lse == -__builtin_huge_valf();
}

template <class T>
__global__ void merge(Merge m) {
  using A = accumulate_t<T>;
  for_rows(m.rows, [&](int64_t r, int lane) {
    A most = lse_of<A>(m.parts[0], r), sum = 0;
    for (int64_t p = 1; p < m.count; ++p) {
      const A lse = lse_of<A>(m.parts[p], r);
      most = lse > most ? lse : most;
    }
    const bool empty = is_empty(most);
    for (int64_t p = 0; p < m.count && !empty; ++p) sum += exp(lse_of<A>(m.parts[p], r) - most);
    const A whole = empty ? most : most + log(sum);
    T* to = m.out.at<T>(r, m.heads, m.tokens);
    for (int64_t d = lane; d < m.width; d += kWarp) {
      A value = 0;
      for (int64_t p = 0; p < m.count && !empty; ++p) {
        const MergePart& part = m.parts[p];
        const A share = static_cast<A>(part.factor) * exp(lse_of<A>(part, r) - whole);
        value += share * static_cast<A>(part.out.at<T>(r, m.heads, m.tokens)[d]);
      }
      to[d] = static_cast<T>(value);
    }
    if (lane == 0) static_cast<A*>(m.lse)[r] = whole;
  });
}

template <class T>
__global__ void merge_backward(Merge m) {
  using A = accumulate_t<T>;
  for_rows(m.rows, [&](int64_t r, int lane) {
    const A whole = static_cast<const A*>(m.lse)[r];
    const bool empty = is_empty(whole);
    const T* dout = m.out.at<T>(r, m.heads, m.tokens);
    const auto share_of = [&](const MergePart& part) {
      return empty ? A(0) : exp(lse_of<A>(part, r) - whole);
    };
    A mean = 0;
    for (int64_t p = 0; p < m.count; ++p) {
      const MergePart& part = m.parts[p];
      const A share = share_of(part), factor = static_cast<A>(part.factor);
      const T* out = part.out.at<T>(r, m.heads, m.tokens);
      T* to = part.dout.at<T>(r, m.heads, m.tokens);
      A mine = 0;
      for (int64_t d = lane; d < m.width; d += kWarp) {
        const A g = static_cast<A>(dout[d]);
        mine += factor * g * static_cast<A>(out[d]);
        to[d] = static_cast<T>(factor * share * g);
      }
      const A gain = warp_all(mine, Plus());
      if (lane == 0) static_cast<A*>(part.dlse)[r] = gain;  // until all are known
      mean += share * gain;
    }
    if (lane != 0) return;
    const A more = m.dlse != nullptr ? static_cast<const A*>(m.dlse)[r] : A(0);
    for (int64_t p = 0; p < m.count; ++p) {
      A& dlse = static_cast<A*>(m.parts[p].dlse)[r];
      dlse = share_of(m.parts[p]) * (dlse - mean + more);
    }
  });
}

template <class T>
__global__ void merge_into(MergeInto m) {
  using A = accumulate_t<T>;
  for_rows(m.rows, [&](int64_t r, int lane) {
    const int64_t head = r / m.tokens % m.heads;
    A* lse = static_cast<A*>(m.lse) + r;
    const A before = *lse;
    const A more = static_cast<const A*>(m.part_lse)[r] +
                   (m.shift != nullptr ? static_cast<A>(m.shift[head]) : A(0));
    const A most = before > more ? before : more;
    if (is_empty(most)) return;
    const A sum = most + log(exp(before - most) + exp(more - most));
    const A kept = exp(before - sum), share = exp(more - sum);
    const T* add = m.part.at<T>(r, m.heads, m.tokens);
    A* row = static_cast<A*>(m.out) + r * m.width;
    for (int64_t d = lane; d < m.width; d += kWarp) {
      row[d] = kept * row[d] + share * static_cast<A>(add[d]);
    }
    __syncwarp();  // all lanes have read what was before
    if (lane == 0) *lse = sum;
  });
}

template <class P, class M>
void launch_rows(void (*kernel)(P), const M& m) {
  launch(kernel, grid_for(ceil_div(m.rows, kWarps)), kWarps * kWarp, 0, current_stream(), m);
}

void run(const Merge& m) {
  dispatch_floating(m.dtype, [&](auto type) { launch_rows(merge<decltype(type)>, m); });
}
void run_backward(const Merge& m) {
  dispatch_floating(m.dtype, [&](auto type) { launch_rows(merge_backward<decltype(type)>, m); });
}
void run_into(const MergeInto& m) {
  dispatch_floating(m.dtype, [&](auto type) { launch_rows(merge_into<decltype(type)>, m); });
}

}  // namespace

void provide_merge() {
  merge_cuda.provide(run);
  merge_backward_cuda.provide(run_backward);
  merge_into_cuda.provide(run_into);
}

}  // namespace heed::kernels::cuda
