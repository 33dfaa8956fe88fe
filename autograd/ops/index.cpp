#include "autograd/ops/index.h"

#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/elementwise/binary.h"
#include "kernels/index/along.h"
#include "kernels/index/index.h"

namespace heed {

Tensor embedding(const Tensor& weight, const Tensor& ids, DType dtype) {
  HEED_CHECK(weight.rank() == 2, "embedding: the weight is {}, needs [V, C]", weight);
  const Tensor y = kernels::take(weight, 0, ids, dtype, "embedding");
  if (trace::on()) trace::report("embedding", {weight, ids}, {y}, {{"dtype", name_of(dtype)}});
  return record("embedding", {weight}, y,
                [ids = save(ids), shape = weight.shape(), own = weight.dtype()](const Tensor& dy) {
                  return Gradients{kernels::take_backward(dy, 0, *ids, shape, own, "embedding")};
                });
}

Tensor index_select(const Tensor& x, int dim, const Tensor& index) {
  const char* op = "index_select";
  HEED_CHECK(index.rank() == 1, "{}: the index is {}, needs [K]", op, index);
  const Tensor y = kernels::take(x, dim, index, x.dtype(), op);
  if (trace::on()) trace::report(op, {x, index}, {y}, {{"dim", dim}});
  return record(
      op, {x}, y,
      [index = save(index), shape = x.shape(), own = x.dtype(), dim, op](const Tensor& dy) {
        return Gradients{kernels::take_backward(dy, dim, *index, shape, own, op)};
      });
}

Tensor gather(const Tensor& x, int dim, const Tensor& index) {
  const char* op = "gather";
  const Tensor y = kernels::gather_along(x, dim, index, op);
  if (trace::on()) trace::report(op, {x, index}, {y}, {{"dim", dim}});
  return record(op, {x}, y, [index = save(index), shape = x.shape(), dim, op](const Tensor& dy) {
    return Gradients{kernels::scatter_add_along({}, shape, dim, *index, dy, op)};
  });
}

Tensor scatter_add(const Tensor& x, int dim, const Tensor& index, const Tensor& source) {
  const char* op = "scatter_add";
  HEED_CHECK(x.dtype() == source.dtype(), "{}: x is {}, the source {}", op, x, source);
  const Tensor y = kernels::scatter_add_along(x, x.shape(), dim, index, source, op);
  if (trace::on()) trace::report(op, {x, index, source}, {y}, {{"dim", dim}});
  return record(op, {x, source}, y,
                [index = save(index), dim, op](const Tensor& dy, const Wanted& wanted) {
                  Gradients gradients(2);
                  if (wanted[0]) gradients[0] = dy;
                  if (wanted[1]) gradients[1] = kernels::gather_along(dy, dim, *index, op);
                  return gradients;
                });
}

Tensor scatter_mean(const Tensor& source, int dim, const Tensor& index, int64_t extent,
                    double eps) {
  const char* op = "scatter_mean";
  HEED_CHECK(eps >= 0, "{}: eps {} is negative", op, eps);
  Shape shape = source.shape();
  dim = shape.dim_index(dim, op);
  shape[dim] = extent;
  const DType sums = source.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor counted = kernels::one_id_a_row(index, dim);
  const Tensor ones = Tensor::full(counted.shape(), 1, sums, source.device());
  Shape of_counts = counted.shape();
  of_counts[dim] = extent;
  std::vector<double> shares =
      kernels::scatter_add_along({}, of_counts, dim, counted, ones, op).to_vector<double>();
  for (double& share : shares) share = share > 0 ? 1 / (share + eps) : 0;
  const Tensor share = kernels::cast(Tensor::from(shares, of_counts), sums).to(source.device());
  const Tensor sum =
      kernels::scatter_add_along({}, shape, dim, index, kernels::cast(source, sums), op);
  const Tensor mean =
      kernels::cast(kernels::binary(kernels::Binary::mul, sum, share), source.dtype());
  if (trace::on())
    trace::report(op, {source, index}, {mean}, {{"dim", dim}, {"extent", extent}, {"eps", eps}});
  return record(
      op, {source}, mean, [index = save(index), share = save(share), dim, op](const Tensor& dy) {
        const Tensor wide =
            kernels::binary(kernels::Binary::mul, kernels::cast(dy, share->dtype()), *share);
        return Gradients{kernels::cast(kernels::gather_along(wide, dim, *index, op), dy.dtype())};
      });
}

Tensor index_put(const Tensor& x, int dim, const Tensor& index, const Tensor& values,
                 bool accumulate) {
  const char* op = "index_put";
  HEED_CHECK(is_floating(x.dtype()) && x.dtype() == values.dtype(), "{}: x is {}, values {}", op, x,
             values);
  Tensor out;
  if (accumulate) {
    out = kernels::add_out_of_place(
        x, kernels::take_backward(values, dim, index, x.shape(), x.dtype(), op));
  } else {
    out = kernels::put_rows(x, dim, index, values, op);
  }
  if (trace::on())
    trace::report(op, {x, index, values}, {out}, {{"dim", dim}, {"accumulate", accumulate}});
  return record(
      op, {x, values}, out,
      [index = save(index), dim, op, accumulate, shape = values.shape()](const Tensor& dy,
                                                                         const Wanted& wanted) {
        Gradients gradients(2);
        if (wanted[0]) {
          gradients[0] = accumulate
                             ? dy
                             : kernels::put_rows(dy, dim, *index,
                                                 Tensor::zeros(shape, dy.dtype(), dy.device()), op);
        }
        if (wanted[1]) {
          const Tensor rows = accumulate ? kernels::take(dy, dim, *index, dy.dtype(), op)
                                         : kernels::put_rows_backward(dy, dim, *index, op);
          gradients[1] = views::reshape(rows, shape);
        }
        return gradients;
      });
}

Tensor masked_put_rows(const Tensor& x, const Tensor& mask, const Tensor& rows) {
  const char* op = "masked_put_rows";
  HEED_CHECK(mask.dtype() == DType::boolean || mask.dtype() == DType::u8,
             "{}: the mask is {}, needs boolean or u8", op, mask);
  HEED_CHECK(x.rank() == mask.rank() + 1, "{}: the mask is {}, x is {}", op, mask, x);
  for (int i = 0; i < mask.rank(); ++i) {
    HEED_CHECK(x.shape()[i] == mask.shape()[i], "{}: the mask is {}, x is {}", op, mask, x);
  }
  std::vector<int64_t> chosen;
  const std::vector<int64_t> held = mask.to_vector<int64_t>();
  for (size_t i = 0; i < held.size(); ++i) {
    if (held[i] != 0) chosen.push_back(static_cast<int64_t>(i));
  }
  const int64_t count = static_cast<int64_t>(chosen.size());
  HEED_CHECK((rows.shape() == Shape{count, x.size(-1)}), "{}: rows are {}, need [{}, {}]", op, rows,
             count, x.size(-1));
  trace::AsOne one;
  const Tensor flat = reshape(x, {mask.numel(), x.size(-1)});
  const Tensor y = reshape(index_put(flat, 0, Tensor::from(chosen, {count}), rows), x.shape());
  one.report(op, {x, mask, rows}, {y});
  return y;
}

}  // namespace heed
