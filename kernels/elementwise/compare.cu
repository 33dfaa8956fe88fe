#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/elementwise/compare_map.h"

namespace heed::kernels::cuda {
namespace {

template <class T>
__global__ void compare(CompareMap m) {
  using V = Compared<T>;
  using N = ComparedWithNumber<T>;
  const T *x = static_cast<const T*>(m.a), *y = static_cast<const T*>(m.b);
  if (y == nullptr) {
    const N number = static_cast<N>(m.number);
    for_each_place<2>(m.loop, [&](const int64_t(&at)[2]) {
      m.out[at[0]] = holds(m.op, static_cast<N>(static_cast<V>(x[at[1]])), number);
    });
    return;
  }
  for_each_place<3>(m.loop, [&](const int64_t(&at)[3]) {
    m.out[at[0]] = holds(m.op, static_cast<V>(x[at[1]]), static_cast<V>(y[at[2]]));
  });
}

__global__ void logical(LogicalMap m) {
  for_each_place<3>(m.loop, [&](const int64_t(&at)[3]) {
    const bool p = m.a[at[1]], q = m.b[at[2]];
    m.out[at[0]] = m.op == Logical::both ? p && q : p || q;
  });
}

template <class T>
__global__ void select(SelectMap m) {
  for_each_place<4>(m.loop, [&](const int64_t(&at)[4]) {
    const T yes = static_cast<const T*>(m.a)[at[2]], no = static_cast<const T*>(m.b)[at[3]];
    static_cast<T*>(m.out)[at[0]] = m.cond[at[1]] ? yes : no;
  });
}

template <class T>
void launch_compare(const CompareMap& m) {
  launch(compare<T>, each_blocks(m.loop.numel), kEachThreads, 0, current_stream(), m);
}

void run_compare(const CompareMap& m) {
  switch (m.dtype) {
    case DType::f32:
      return launch_compare<float>(m);
    case DType::bf16:
      return launch_compare<bfloat16>(m);
    case DType::f16:
      return launch_compare<float16>(m);
    case DType::f64:
      return launch_compare<double>(m);
    case DType::i32:
      return launch_compare<int32_t>(m);
    case DType::i64:
      return launch_compare<int64_t>(m);
    default:
      return launch_compare<uint8_t>(m);  // and bool
  }
}

void run_logical(const LogicalMap& m) {
  launch(logical, each_blocks(m.loop.numel), kEachThreads, 0, current_stream(), m);
}

void run_select(const SelectMap& m) {
  const auto kernel = m.size == 1   ? select<uint8_t>
                      : m.size == 2 ? select<uint16_t>
                      : m.size == 4 ? select<uint32_t>
                                    : select<uint64_t>;
  launch(kernel, each_blocks(m.loop.numel), kEachThreads, 0, current_stream(), m);
}

}  // namespace

void provide_compare() {
  compare_cuda.provide(run_compare);
  logical_cuda.provide(run_logical);
  select_cuda.provide(run_select);
}

}  // namespace heed::kernels::cuda
