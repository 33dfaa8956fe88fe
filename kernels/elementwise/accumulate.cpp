#include "kernels/elementwise/accumulate.h"

#include "kernels/elementwise/binary.h"

namespace heed::kernels {

void add_inplace(const Tensor& sum, const Tensor& more) {
  HEED_CHECK(sum.shape() == more.shape() && sum.is_contiguous(), "add in place: {} += {}", sum,
             more);
  add_into(sum, cast(more, sum.dtype()), sum);
}

Tensor add_out_of_place(const Tensor& a, const Tensor& b) {
  HEED_CHECK(a.shape() == b.shape(), "add: {} + {}", a, b);
  const Tensor sum = Tensor::empty(a.shape(), a.dtype(), a.device());
  add_into(a, cast(b, a.dtype()), sum);
  return sum;
}

}  // namespace heed::kernels
