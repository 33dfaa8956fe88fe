#include "autograd/ops/layout.h"

#include <algorithm>

#include "autograd/ops/index.h"
#include "autograd/ops/view.h"
#include "autograd/spatial.h"
#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/index/one_hot.h"

namespace heed {
namespace {

Tensor pad_constant(const Tensor& x, int dim, int64_t before, int64_t after, double value) {
  const int64_t n = x.size(dim);
  Shape shape = x.shape();
  shape[dim] += before + after;
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  kernels::fill(views::slice(y, dim, 0, before), value);
  kernels::copy(x, views::slice(y, dim, before, before + n));
  kernels::fill(views::slice(y, dim, before + n, before + n + after), value);
  if (trace::on())
    trace::report("pad", {x}, {y},
                  {{"dim", dim}, {"before", before}, {"after", after}, {"value", value}});
  return record("pad", {x}, y, [dim, before, n](const Tensor& dy) {
    return Gradients{views::slice(dy, dim, before, before + n)};
  });
}

// The element of x that stands at position i, which may lie outside [0, n).
int64_t source_of(int64_t i, int64_t n, PadMode mode) {
  if (mode == PadMode::replicate) return std::clamp<int64_t>(i, 0, n - 1);
  if (i < 0) return -i;
  return i < n ? i : 2 * (n - 1) - i;
}

Tensor pad_copies(const Tensor& x, int dim, int64_t before, int64_t after, PadMode mode) {
  const int64_t n = x.size(dim);
  const int64_t most = mode == PadMode::reflect ? n - 1 : std::max(before, after);
  HEED_CHECK(n > 0 && before <= most && after <= most,
             "pad: {} and {} elements around dimension {} of {}", before, after, dim, x);
  kernels::AxisMap axis(n);
  for (int64_t i = -before; i < n + after; ++i) {
    axis.add(source_of(i, n, mode), 1.0);
    axis.end_row();
  }
  int64_t outer = 1, inner = 1;
  for (int d = 0; d < dim; ++d) outer *= x.shape()[d];
  for (int d = dim + 1; d < x.rank(); ++d) inner *= x.shape()[d];
  Shape shape = x.shape();
  shape[dim] = axis.out();
  return reshape(separable("pad", reshape(x, {outer, n, inner}), {axis}), shape);
}

Tensor rolled(const Tensor& x, int64_t shift, int dim) {
  const int64_t n = x.size(dim);
  const Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (y.numel() == 0) return y;
  const int64_t by = (shift % n + n) % n;
  kernels::copy(views::slice(x, dim, 0, n - by), views::slice(y, dim, by, n));
  if (by > 0) kernels::copy(views::slice(x, dim, n - by, n), views::slice(y, dim, 0, by));
  return y;
}

}  // namespace

Tensor pad(const Tensor& x, const std::vector<PadWidth>& widths, PadMode mode, double value) {
  Tensor y = x;
  for (const auto& [dim, before, after] : widths) {
    const int d = x.shape().dim_index(dim, "pad");
    HEED_CHECK(before >= 0 && after >= 0, "pad: {} and {} elements around dimension {} of {}",
               before, after, dim, x);
    if (before + after == 0) continue;
    y = mode == PadMode::constant ? pad_constant(y, d, before, after, value)
                                  : pad_copies(y, d, before, after, mode);
  }
  return y;
}

Tensor roll(const Tensor& x, const std::vector<int64_t>& shifts, const std::vector<int>& dims) {
  HEED_CHECK(shifts.size() == dims.size(), "roll: {} shifts along {} dimensions", shifts.size(),
             dims.size());
  Tensor y = x;
  for (size_t i = 0; i < dims.size(); ++i) {
    const int dim = x.shape().dim_index(dims[i], "roll");
    const Tensor moved = rolled(y, shifts[i], dim);
    if (trace::on()) trace::report("roll", {y}, {moved}, {{"shift", shifts[i]}, {"dim", dim}});
    y = record("roll", {y}, moved, [shift = shifts[i], dim](const Tensor& dy) {
      return Gradients{rolled(dy, -shift, dim)};
    });
  }
  return y;
}

Tensor flip(const Tensor& x, const std::vector<int>& dims) {
  Tensor y = x;
  for (const int wanted : dims) {
    const int dim = x.shape().dim_index(wanted, "flip");
    std::vector<int64_t> order;
    for (int64_t i = x.size(dim) - 1; i >= 0; --i) order.push_back(i);
    y = index_select(y, dim, Tensor::from(order, {x.size(dim)}));
  }
  return y;
}

Tensor repeat(const Tensor& x, const std::vector<int64_t>& counts) {
  HEED_CHECK(static_cast<int>(counts.size()) == x.rank(), "repeat: {} counts for {}", counts.size(),
             x);
  Shape single, many, result;  // a dimension of its own for each count above 1
  for (int d = 0; d < x.rank(); ++d) {
    const int64_t count = counts[static_cast<size_t>(d)];
    HEED_CHECK(count > 0, "repeat: {} times along dimension {}", count, d);
    if (count > 1) {
      single.push_back(1);
      many.push_back(count);
    }
    single.push_back(x.size(d));
    many.push_back(x.size(d));
    result.push_back(count * x.size(d));
  }
  return reshape(expand(reshape(x, single), many), result);
}

Tensor one_hot(const Tensor& ids, int64_t classes, DType dtype) {
  const Tensor y = kernels::one_hot(ids, classes, dtype);
  if (trace::on()) trace::report("one_hot", {ids}, {y}, {{"classes", classes}});
  return y;
}

Tensor pixel_shuffle(const Tensor& x, int64_t factor) {
  HEED_CHECK(x.rank() == 4 && factor > 0 && x.size(3) % (factor * factor) == 0,
             "pixel_shuffle: x is {}, needs [B, H, W, C {}^2]", x, factor);
  const int64_t b = x.size(0), h = x.size(1), w = x.size(2), c = x.size(3) / (factor * factor);
  const Tensor parts = permute(reshape(x, {b, h, w, c, factor, factor}), {0, 1, 4, 2, 5, 3});
  return reshape(parts, {b, h * factor, w * factor, c});
}

Tensor pixel_unshuffle(const Tensor& x, int64_t factor) {
  HEED_CHECK(x.rank() == 4 && factor > 0 && x.size(1) % factor == 0 && x.size(2) % factor == 0,
             "pixel_unshuffle: x is {}, needs [B, H {}, W {}, C]", x, factor, factor);
  const int64_t b = x.size(0), h = x.size(1) / factor, w = x.size(2) / factor, c = x.size(3);
  const Tensor parts = permute(reshape(x, {b, h, factor, w, factor, c}), {0, 1, 3, 5, 2, 4});
  return reshape(parts, {b, h, w, c * factor * factor});
}

}  // namespace heed
