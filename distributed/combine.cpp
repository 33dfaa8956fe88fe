#include "distributed/combine.h"

#include <type_traits>

namespace heed {
namespace {

template <class T, class Op>
void apply(const void* in, void* into, int64_t count, Op op) {
  const T* __restrict a = static_cast<const T*>(in);
  T* __restrict b = static_cast<T*>(into);
  // Halves are computed in f32, small integers as MPI does, in their own type.
  using Wide = std::conditional_t<std::is_arithmetic_v<T>, T, float>;
  for (int64_t i = 0; i < count; ++i)
    b[i] = static_cast<T>(op(static_cast<Wide>(a[i]), static_cast<Wide>(b[i])));
}

}  // namespace

void combine(ReduceOp op, DType dtype, const void* in, void* into, int64_t count) {
  // Truth values travel as bytes.
  dispatch_any(dtype == DType::boolean ? DType::u8 : dtype, [&](auto element) {
    using T = decltype(element);
    switch (op) {
      case ReduceOp::sum:
      case ReduceOp::mean:
        return apply<T>(in, into, count, [](auto x, auto y) { return x + y; });
      case ReduceOp::max:
        return apply<T>(in, into, count, [](auto x, auto y) { return x > y || x != x ? x : y; });
      case ReduceOp::min:
        return apply<T>(in, into, count, [](auto x, auto y) { return x < y || x != x ? x : y; });
    }
  });
}

}  // namespace heed
