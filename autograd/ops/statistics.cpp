// The reductions of reduce.h that need more than one pass: their results are formed in f32 (f64 for
// f64) with the reduced dimensions kept, and rounded and reshaped at the end.
#include <algorithm>

#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/compare.h"
#include "kernels/elementwise/unary.h"
#include "kernels/reduce/logsumexp.h"
#include "kernels/reduce/reduce.h"

namespace heed {
namespace {

using kernels::Binary;
using kernels::Unary;

// The dimensions of a reduction of x, in [0, rank): all when empty.
struct ReducedDims {
  std::vector<int> dims;
  Shape kept;     // with extents of 1
  Shape without;  // without the dimensions
  int64_t count = 1;

  ReducedDims(const char* op, const Tensor& x, const std::vector<int>& wanted) : kept(x.shape()) {
    for (int d = 0; d < x.rank() && wanted.empty(); ++d) dims.push_back(d);
    for (const int d : wanted) dims.push_back(x.shape().dim_index(d, op));
    for (const int d : dims) {
      HEED_CHECK(std::count(dims.begin(), dims.end(), d) == 1, "{}: dimension {} of {} named twice",
                 op, d, x);
      kept[d] = 1;
      count *= x.shape()[d];
    }
    for (int d = 0; d < x.rank(); ++d) {
      if (!has(d)) without.push_back(x.shape()[d]);
    }
  }
  bool has(int dim) const { return std::find(dims.begin(), dims.end(), dim) != dims.end(); }
  const Shape& result(bool keepdim) const { return keepdim ? kept : without; }
};

DType wide(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

// The sum over the dimensions of a reduction, kept with extents of 1. Of a tensor without
// dimensions the kernel would read an empty list as all of them, which is the same.
Tensor sum_kept(const Tensor& x, const ReducedDims& r, double scale = 1.0) {
  return kernels::sum(x, r.dims, true, scale);
}

struct Moments {
  Tensor mean, var;
};

Moments moments(const char* op, const Tensor& x, const ReducedDims& r, double correction) {
  const double freedom = static_cast<double>(r.count) - correction;
  HEED_CHECK(freedom > 0, "{}: {} elements of {} less a correction of {} leave nothing", op,
             r.count, x, correction);
  const Tensor in = kernels::cast(x, wide(x.dtype()));
  const Tensor mean = sum_kept(in, r, 1.0 / static_cast<double>(r.count));
  const Tensor centred = kernels::binary(Binary::sub, in, mean);
  return {mean, sum_kept(kernels::unary(Unary::square, centred), r, 1.0 / freedom)};
}

// x less its mean, times a factor for each result: rounded to x's dtype.
Tensor centred_times(const Tensor& x, const Tensor& mean, const Tensor& factor) {
  const Tensor centred = kernels::binary(Binary::sub, kernels::cast(x, mean.dtype()), mean);
  return kernels::cast(kernels::binary(Binary::mul, centred, factor), x.dtype());
}

// dy in the shape and dtype of results that are kept wide.
Tensor widened(const Tensor& dy, const Tensor& like) {
  return views::reshape(kernels::contiguous_as(dy, like.dtype()), like.shape());
}

// dy / y, and 0 where y is 0.
Tensor divided_unless_zero(const Tensor& dy, const Tensor& y) {
  const Tensor zero = Tensor::zeros({}, y.dtype(), y.device());
  return kernels::select(kernels::compare(kernels::Compare::eq, y, 0.0), zero,
                         kernels::binary(Binary::div, widened(dy, y), y));
}

Tensor narrowed(const Tensor& y, DType dtype, const Shape& shape) {
  return views::reshape(kernels::cast(y, dtype), shape);
}

}  // namespace

Tensor var(const Tensor& x, const std::vector<int>& dims, double correction, bool keepdim) {
  const ReducedDims r("var", x, dims);
  const auto [mean, var] = moments("var", x, r, correction);
  const Tensor y = narrowed(var, x.dtype(), r.result(keepdim));
  if (trace::on()) trace::report("var", {x}, {y}, {{"dims", r.dims}, {"correction", correction}});
  return record("var", {x}, y,
                [x = save(x), mean = save(mean),
                 scale = 2.0 / (static_cast<double>(r.count) - correction)](const Tensor& dy) {
                  const Tensor factor = kernels::binary(Binary::mul, widened(dy, *mean), scale);
                  return Gradients{centred_times(*x, *mean, factor)};
                });
}

Tensor standard_deviation(const Tensor& x, const std::vector<int>& dims, double correction,
                          bool keepdim) {
  const ReducedDims r("standard_deviation", x, dims);
  const auto [mean, var] = moments("standard_deviation", x, r, correction);
  const Tensor y = kernels::unary(Unary::sqrt, var);
  const Tensor result = narrowed(y, x.dtype(), r.result(keepdim));
  if (trace::on())
    trace::report("standard_deviation", {x}, {result},
                  {{"dims", r.dims}, {"correction", correction}});
  return record("standard_deviation", {x}, result,
                [x = save(x), mean = save(mean), y = save(y),
                 scale = 1.0 / (static_cast<double>(r.count) - correction)](const Tensor& dy) {
                  const Tensor factor =
                      kernels::binary(Binary::mul, divided_unless_zero(dy, *y), scale);
                  return Gradients{centred_times(*x, *mean, factor)};
                });
}

Tensor l2_norm(const Tensor& x, const std::vector<int>& dims, bool keepdim) {
  const ReducedDims r("l2_norm", x, dims);
  const Tensor in = kernels::cast(x, wide(x.dtype()));
  const Tensor y = kernels::unary(Unary::sqrt, sum_kept(kernels::unary(Unary::square, in), r));
  const Tensor result = narrowed(y, x.dtype(), r.result(keepdim));
  if (trace::on()) trace::report("l2_norm", {x}, {result}, {{"dims", r.dims}});
  return record("l2_norm", {x}, result, [x = save(x), y = save(y)](const Tensor& dy) {
    const Tensor factor = divided_unless_zero(dy, *y);
    const Tensor wide_x = kernels::cast(*x, y->dtype());
    return Gradients{kernels::cast(kernels::binary(Binary::mul, wide_x, factor), x->dtype())};
  });
}

Tensor logsumexp(const Tensor& x, const std::vector<int>& dims, bool keepdim) {
  const ReducedDims r("logsumexp", x, dims);
  HEED_CHECK(r.count > 0, "logsumexp: of no elements, x {}", x);
  // rows: the dimensions that stay, then those that go
  std::vector<int> order;
  for (int d = 0; d < x.rank(); ++d) {
    if (!r.has(d)) order.push_back(d);
  }
  order.insert(order.end(), r.dims.begin(), r.dims.end());
  const Tensor rows = reshape(permute(x, order), {r.without.numel(), r.count});
  const Tensor lse = kernels::logsumexp_rows(rows);
  const Tensor result = kernels::cast(lse, x.dtype());
  if (trace::on()) trace::report("logsumexp", {rows}, {result});
  const Tensor y =
      record("logsumexp", {rows}, result, [rows = save(rows), lse = save(lse)](const Tensor& dy) {
        return Gradients{kernels::logsumexp_rows_backward(dy, *rows, *lse)};
      });
  return reshape(y, r.result(keepdim));
}

}  // namespace heed
