#include "kernels/elementwise/accumulate.h"

#include <algorithm>

#include "core/parallel.h"

namespace heed::kernels {
namespace {

constexpr int64_t kGrain = 16384;

template <class A, class B>
void add_rows(A* sum, const B* more, int64_t n) {
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      sum[i] = static_cast<A>(static_cast<accumulate_t<A>>(sum[i]) +
                              static_cast<accumulate_t<A>>(more[i]));
    }
  });
}

}  // namespace

Tensor contiguous_as(const Tensor& x, DType dtype) {
  if (x.is_contiguous() && x.dtype() == dtype) return x;
  require_cpu(x.device(), "contiguous");
  const Tensor out = Tensor::empty(x.shape(), dtype);
  dispatch_floating(dtype, "contiguous", [&](auto type) {
    using T = decltype(type);
    const std::vector<T> values = x.to_vector<T>();
    std::copy(values.begin(), values.end(), out.data<T>());
  });
  return out;
}

void add_inplace(const Tensor& sum, const Tensor& more) {
  require_cpu(sum.device(), "add");
  HEED_CHECK(sum.shape() == more.shape() && sum.is_contiguous(), "add in place: {} += {}", sum,
             more);
  const Tensor dense = contiguous_as(more, more.dtype());
  dispatch_floating(sum.dtype(), "add", [&](auto a) {
    dispatch_floating(dense.dtype(), "add", [&](auto b) {
      add_rows(sum.data<decltype(a)>(), dense.data<decltype(b)>(), sum.numel());
    });
  });
  sum.bump_version();
}

Tensor add_out_of_place(const Tensor& a, const Tensor& b) {
  const Tensor dense = contiguous_as(a, a.dtype());
  const Tensor sum = Tensor::empty(a.shape(), a.dtype());
  std::copy_n(static_cast<const char*>(dense.raw()), dense.bytes(), static_cast<char*>(sum.raw()));
  add_inplace(sum, b);
  return sum;
}

}  // namespace heed::kernels
