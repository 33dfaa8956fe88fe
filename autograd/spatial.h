// What ops on [B, spatial..., C] share.
#pragma once

#include <vector>

#include "autograd/tape.h"
#include "autograd/trace.h"
#include "kernels/copy/copy.h"
#include "kernels/separable/separable.h"

namespace heed {

/// The number of spatial dimensions of x, one to three; throws naming `op`.
inline int spatial_rank(const char* op, const Tensor& x) {
  HEED_CHECK(x.rank() >= 3 && x.rank() <= 5,
             "{}: x is {}, needs [B, spatial..., C] with one to three spatial dimensions", op, x);
  return x.rank() - 2;
}

/// `values`, one for all or one each, as one each.
inline Shape spatial_values(const char* op, const char* what, const Shape& values, int rank) {
  HEED_CHECK(values.rank() == 1 || values.rank() == rank, "{}: {} {} for {} spatial dimensions", op,
             what, values, rank);
  Shape all;
  for (int d = 0; d < rank; ++d) all.push_back(values[values.rank() == 1 ? 0 : d]);
  return all;
}

/// f32 [out, in].
inline Tensor as_matrix(const kernels::AxisMap& axis) {
  std::vector<double> weights(static_cast<size_t>(axis.out() * axis.in));
  for (int64_t o = 0; o < axis.out(); ++o) {
    for (int64_t e = axis.start[static_cast<size_t>(o)]; e < axis.start[static_cast<size_t>(o) + 1];
         ++e) {
      const auto entry = static_cast<size_t>(e);
      weights[static_cast<size_t>(o * axis.in + axis.index[entry])] += axis.weight[entry];
    }
  }
  return kernels::cast(Tensor::from(weights, {axis.out(), axis.in}), DType::f32);
}

/// kernels::separable as a differentiable op: its adjoint has the transposed maps.
inline Tensor separable(const char* op, const Tensor& x,
                        const std::vector<kernels::AxisMap>& axes) {
  const Tensor y = kernels::separable(x, axes, op);
  if (trace::on()) {
    std::vector<Tensor> inputs{x};
    for (const kernels::AxisMap& axis : axes) inputs.push_back(as_matrix(axis));
    trace::report(op, inputs, {y}, {{"separable", true}});
  }
  return record(op, {x}, y, [op, axes](const Tensor& dy) {
    std::vector<kernels::AxisMap> adjoint;
    for (const kernels::AxisMap& axis : axes) adjoint.push_back(axis.transposed());
    return Gradients{kernels::separable(dy, adjoint, op)};
  });
}

}  // namespace heed
