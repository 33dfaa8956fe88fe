#include "autograd/ops/view.h"

#include <algorithm>

#include "autograd/trace.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/reduce/reduce.h"

namespace heed {
namespace {

// Zeros of x's shape with dy in the part that `part` views.
template <class View>
Tensor embed(const Tensor& dy, const Shape& shape, View&& part) {
  Tensor dx = Tensor::zeros(shape, dy.dtype(), dy.device());
  kernels::copy(dy, part(dx));
  return dx;
}

std::vector<int> inverse(const std::vector<int>& order) {
  std::vector<int> back(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const int from = order[i] < 0 ? order[i] + static_cast<int>(order.size()) : order[i];
    back[static_cast<size_t>(from)] = static_cast<int>(i);
  }
  return back;
}

Tensor reshape_or_copy(const Tensor& x, const Shape& wanted) {
  const Shape shape = views::infer_shape(x, wanted, "reshape");
  Shape strides;
  return views::can_reshape(x, shape, &strides) ? views::as_strided(x, shape, strides)
                                                : views::reshape(kernels::contiguous(x), shape);
}

// dim of a result of the given rank, for stack.
int new_dim(int dim, int rank, const char* op) {
  const int wrapped = dim < 0 ? dim + rank : dim;
  HEED_CHECK(wrapped >= 0 && wrapped < rank, "{}: dimension {} of a result of {} dimensions", op,
             dim, rank);
  return wrapped;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Tensor y = reshape_or_copy(x, shape);
  if (trace::on()) trace::report("reshape", {x}, {y});
  return record("reshape", {x}, y, [from = x.shape()](const Tensor& dy) {
    return Gradients{reshape_or_copy(dy, from)};
  });
}

Tensor transpose(const Tensor& x, int a, int b) {
  const Tensor y = views::transpose(x, a, b);
  if (trace::on()) trace::report("transpose", {x}, {y}, {{"a", a}, {"b", b}});
  return record("transpose", {x}, y,
                [a, b](const Tensor& dy) { return Gradients{views::transpose(dy, a, b)}; });
}

Tensor permute(const Tensor& x, const std::vector<int>& order) {
  const Tensor y = views::permute(x, order);
  if (trace::on()) trace::report("permute", {x}, {y}, {{"order", order}});
  return record("permute", {x}, y, [order](const Tensor& dy) {
    return Gradients{views::permute(dy, inverse(order))};
  });
}

Tensor slice(const Tensor& x, int dim, int64_t begin, int64_t end, int64_t step) {
  const Tensor y = views::slice(x, dim, begin, end, step);
  if (trace::on())
    trace::report("slice", {x}, {y},
                  {{"dim", dim}, {"begin", begin}, {"end", end}, {"step", step}});
  return record("slice", {x}, y, [shape = x.shape(), dim, begin, end, step](const Tensor& dy) {
    return Gradients{embed(
        dy, shape, [&](const Tensor& dx) { return views::slice(dx, dim, begin, end, step); })};
  });
}

Tensor select(const Tensor& x, int dim, int64_t index) {
  const Tensor y = views::select(x, dim, index);
  if (trace::on()) trace::report("select", {x}, {y}, {{"dim", dim}, {"index", index}});
  return record("select", {x}, y, [shape = x.shape(), dim, index](const Tensor& dy) {
    return Gradients{
        embed(dy, shape, [&](const Tensor& dx) { return views::select(dx, dim, index); })};
  });
}

Tensor expand(const Tensor& x, const Shape& shape) {
  const Tensor y = views::expand(x, shape);
  if (trace::on()) trace::report("expand", {x}, {y});
  return record("expand", {x}, y, [from = x.shape()](const Tensor& dy) {
    return Gradients{kernels::sum_to(dy, from)};
  });
}

Tensor squeeze(const Tensor& x, int dim) {
  const Tensor y = views::squeeze(x, dim);
  if (trace::on()) trace::report("squeeze", {x}, {y});
  return record("squeeze", {x}, y, [shape = x.shape()](const Tensor& dy) {
    return Gradients{reshape_or_copy(dy, shape)};
  });
}

Tensor unsqueeze(const Tensor& x, int dim) {
  const Tensor y = views::unsqueeze(x, dim);
  if (trace::on()) trace::report("unsqueeze", {x}, {y});
  return record("unsqueeze", {x}, y, [shape = x.shape()](const Tensor& dy) {
    return Gradients{reshape_or_copy(dy, shape)};
  });
}

Tensor concat(const std::vector<Tensor>& parts, int dim) {
  HEED_CHECK(!parts.empty(), "concat: no parts");
  dim = parts[0].shape().dim_index(dim, "concat");
  Shape shape = parts[0].shape();
  shape[dim] = 0;
  for (const Tensor& part : parts) {
    Shape rest = part.shape();
    if (rest.rank() == shape.rank()) rest[dim] = shape[dim];
    HEED_CHECK(rest == shape && part.dtype() == parts[0].dtype(),
               "concat: parts {} and {} along dimension {}", parts[0], part, dim);
    shape[dim] += part.shape()[dim];
  }
  Tensor out = Tensor::empty(shape, parts[0].dtype(), parts[0].device());
  std::vector<int64_t> sizes;
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    sizes.push_back(part.shape()[dim]);
    kernels::copy(part, views::slice(out, dim, begin, begin + sizes.back()));
    begin += sizes.back();
  }
  if (trace::on()) trace::report("concat", parts, {out}, {{"dim", dim}});
  return record("concat", parts, out, [sizes, dim](const Tensor& dy, const Wanted& wanted) {
    Gradients grads;
    int64_t at = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const bool want = wanted[static_cast<int>(i)];
      grads.push_back(want ? views::slice(dy, dim, at, at + sizes[i]) : Tensor());
      at += sizes[i];
    }
    return grads;
  });
}

Tensor stack(const std::vector<Tensor>& parts, int dim) {
  HEED_CHECK(!parts.empty(), "stack: no parts");
  dim = new_dim(dim, parts[0].rank() + 1, "stack");
  Shape shape = parts[0].shape();
  shape.insert(dim, static_cast<int64_t>(parts.size()));
  Tensor out = Tensor::empty(shape, parts[0].dtype(), parts[0].device());
  for (size_t i = 0; i < parts.size(); ++i) {
    HEED_CHECK(parts[i].shape() == parts[0].shape() && parts[i].dtype() == parts[0].dtype(),
               "stack: parts {} and {}", parts[0], parts[i]);
    kernels::copy(parts[i], views::select(out, dim, static_cast<int64_t>(i)));
  }
  if (trace::on()) trace::report("stack", parts, {out}, {{"dim", dim}});
  return record(
      "stack", parts, out, [count = parts.size(), dim](const Tensor& dy, const Wanted& wanted) {
        Gradients grads;
        for (size_t i = 0; i < count; ++i) {
          const bool want = wanted[static_cast<int>(i)];
          grads.push_back(want ? views::select(dy, dim, static_cast<int64_t>(i)) : Tensor());
        }
        return grads;
      });
}

std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int dim) {
  dim = x.shape().dim_index(dim, "split");
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (const int64_t size : sizes) {
    HEED_CHECK(size >= 0 && begin + size <= x.shape()[dim],
               "split: sizes [{}] along dimension {} of {}", fmt::join(sizes, ", "), dim, x);
    parts.push_back(views::slice(x, dim, begin, begin + size));
    begin += size;
  }
  HEED_CHECK(begin == x.shape()[dim], "split: sizes [{}] along dimension {} of {}",
             fmt::join(sizes, ", "), dim, x);
  if (trace::on()) trace::report("split", {x}, parts, {{"sizes", sizes}, {"dim", dim}});
  return record_many(
      "split", {x}, parts, [shape = x.shape(), sizes, dim](const Gradients& grads, const Wanted&) {
        // one buffer; parts that nothing depended on are zero
        const auto any =
            std::find_if(grads.begin(), grads.end(), [](const Tensor& g) { return g.defined(); });
        Tensor dx = Tensor::empty(shape, any->dtype(), any->device());
        int64_t at = 0;
        for (size_t i = 0; i < sizes.size(); ++i) {
          const Tensor part = views::slice(dx, dim, at, at + sizes[i]);
          if (grads[i].defined()) {
            kernels::copy(grads[i], part);
          } else {
            kernels::fill(part, 0.0);
          }
          at += sizes[i];
        }
        return Gradients{dx};
      });
}

Tensor contiguous(const Tensor& x) {
  if (x.is_contiguous()) return x;
  const Tensor y = kernels::contiguous(x);
  if (trace::on()) trace::report("contiguous", {x}, {y});
  return record("contiguous", {x}, y, [](const Tensor& dy) { return Gradients{dy}; });
}

}  // namespace heed
