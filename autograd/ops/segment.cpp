#include "autograd/ops/segment.h"

#include "autograd/trace.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/unary.h"
#include "kernels/index/index.h"
#include "kernels/index/segments.h"

namespace heed {
namespace {

using kernels::Binary;

Shape segmented(const char* op, const Tensor& x, const Tensor& ids, int64_t segments) {
  HEED_CHECK(x.rank() >= 1 && ids.rank() == 1 && ids.size(0) == x.size(0),
             "{}: ids {} do not fit the rows of {}", op, ids, x);
  HEED_CHECK(segments >= 0, "{}: {} segments", op, segments);
  Shape shape = x.shape();
  shape[0] = segments;
  return shape;
}

Tensor sum_rows(const char* op, const Tensor& x, const Tensor& ids, const Shape& shape) {
  return kernels::take_backward(x, 0, ids, shape, x.dtype(), op);
}

Tensor spread(const char* op, const Tensor& rows, const Tensor& ids) {
  return kernels::take(rows, 0, ids, rows.dtype(), op);
}

}  // namespace

Tensor segment_sum(const Tensor& x, const Tensor& ids, int64_t segments) {
  const char* op = "segment_sum";
  const Shape shape = segmented(op, x, ids, segments);
  const Tensor y = sum_rows(op, x, ids, shape);
  if (trace::on()) trace::report(op, {x, ids}, {y}, {{"segments", segments}});
  return record(op, {x}, y, [ids = save(ids), op](const Tensor& dy) {
    return Gradients{spread(op, dy, *ids)};
  });
}

Tensor segment_mean(const Tensor& x, const Tensor& ids, int64_t segments) {
  const char* op = "segment_mean";
  const Shape shape = segmented(op, x, ids, segments);
  const DType sums = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  std::vector<double> shares;
  for (const int64_t size : kernels::segment_sizes(ids, segments, op)) {
    shares.push_back(size > 0 ? 1.0 / static_cast<double>(size) : 0.0);
  }
  Shape column = shape;
  for (int i = 1; i < column.rank(); ++i) column[i] = 1;
  const Tensor share = kernels::cast(Tensor::from(shares, column).to(x.device()), sums);
  const Tensor sum = kernels::take_backward(x, 0, ids, shape, sums, op);
  const Tensor mean = kernels::cast(kernels::binary(Binary::mul, sum, share), x.dtype());
  if (trace::on()) trace::report(op, {x, ids}, {mean}, {{"segments", segments}});
  return record(op, {x}, mean, [ids = save(ids), share = save(share), op](const Tensor& dy) {
    const Tensor wide = kernels::binary(Binary::mul, kernels::cast(dy, share->dtype()), *share);
    return Gradients{kernels::take(wide, 0, *ids, dy.dtype(), op)};
  });
}

Tensor segment_max(const Tensor& x, const Tensor& ids, int64_t segments, double empty) {
  const char* op = "segment_max";
  segmented(op, x, ids, segments);
  const kernels::SegmentMax r = kernels::segment_max(x, ids, segments, empty, op);
  if (trace::on())
    trace::report(op, {x, ids}, {r.values}, {{"segments", segments}, {"empty", empty}});
  return record(op, {x}, r.values,
                [rows = save(r.rows), ids = save(ids), shape = x.shape()](const Tensor& dy) {
                  return Gradients{kernels::segment_max_backward(dy, *rows, *ids, shape)};
                });
}

Tensor segment_softmax(const Tensor& x, const Tensor& ids, int64_t segments) {
  const char* op = "segment_softmax";
  const Shape shape = segmented(op, x, ids, segments);
  const DType sums = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor wide = kernels::cast(x, sums);
  const Tensor largest = kernels::segment_max(wide, ids, segments, 0, op).values;
  const Tensor e = kernels::unary(kernels::Unary::exp,
                                  kernels::binary(Binary::sub, wide, spread(op, largest, ids)));
  const Tensor sum = sum_rows(op, e, ids, shape);
  const Tensor y = kernels::binary(Binary::div, e, spread(op, sum, ids));
  const Tensor rounded = kernels::cast(y, x.dtype());
  if (trace::on()) trace::report(op, {x, ids}, {rounded}, {{"segments", segments}});
  return record(op, {x}, rounded, [y = save(y), ids = save(ids), shape, op](const Tensor& dy) {
    const Tensor g = kernels::cast(dy, y->dtype());
    const Tensor dot = sum_rows(op, kernels::binary(Binary::mul, g, *y), *ids, shape);
    const Tensor dx =
        kernels::binary(Binary::mul, *y, kernels::binary(Binary::sub, g, spread(op, dot, *ids)));
    return Gradients{kernels::cast(dx, dy.dtype())};
  });
}

}  // namespace heed
