#include "distributed/collectives.h"

#include <vector>

#include "core/views.h"
#include "kernels/copy/copy.h"

namespace heed {
namespace {

int positive(const Tensor& x, int dim, const char* op) {
  const int at = dim < 0 ? dim + x.rank() : dim;
  HEED_CHECK(at >= 0 && at < x.rank(), "{}: there is no dimension {} of {}", op, dim, x);
  return at;
}

Shape with_extent(Shape shape, int dim, int64_t extent) {
  shape[dim] = extent;
  return shape;
}

// Memory of its own: a collective in place must not change the caller's.
Tensor copied(const Tensor& x) {
  const Tensor own = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::copy(x.detach(), own);
  return own;
}

// x [.., parts n, ..] as a view [parts, .., n, ..]: collectives cut memory along the first
// dimension.
Tensor parts_first(const Tensor& x, int dim, int64_t parts) {
  Shape apart;
  for (int d = 0; d < x.rank(); ++d) {
    if (d == dim) apart.push_back(parts);
    apart.push_back(d == dim ? x.size(d) / parts : x.size(d));
  }
  std::vector<int> order = {dim};
  for (int d = 0; d < apart.rank(); ++d)
    if (d != dim) order.push_back(d);
  return views::permute(views::reshape(x, apart), order);
}

Tensor summed(const Tensor& x, Communicator& ranks) {
  const Tensor sum = copied(x);
  ranks.all_reduce(sum);
  return sum;
}

Tensor gathered(const Tensor& x, int dim, Communicator& ranks) {
  const Tensor own = kernels::contiguous(x.detach());
  const Tensor whole =
      Tensor::empty(with_extent(x.shape(), dim, ranks.size() * x.size(dim)), x.dtype(), x.device());
  const Tensor by_rank = parts_first(whole, dim, ranks.size());
  if (by_rank.is_contiguous()) {
    ranks.all_gather(own, by_rank);
  } else {
    const Tensor received = Tensor::empty(by_rank.shape(), x.dtype(), x.device());
    ranks.all_gather(own, received);
    kernels::copy(received, by_rank);
  }
  return whole;
}

Tensor scattered(const Tensor& x, int dim, Communicator& ranks) {
  const Tensor dense = kernels::contiguous(x.detach());
  const Tensor by_rank = kernels::contiguous(parts_first(dense, dim, ranks.size()));
  const Tensor own =
      Tensor::empty(with_extent(x.shape(), dim, x.size(dim) / ranks.size()), x.dtype(), x.device());
  ranks.reduce_scatter(by_rank, own);
  return own;
}

}  // namespace

Tensor all_reduce(const Tensor& x, Communicator& ranks) {
  if (ranks.size() == 1) return x;
  return record("all_reduce", {x}, summed(x, ranks),
                [&ranks](const Tensor& dy) { return Gradients{summed(dy, ranks)}; });
}

Tensor all_gather(const Tensor& x, int dim, Communicator& ranks) {
  const int at = positive(x, dim, "all_gather");
  if (ranks.size() == 1) return x;
  return record("all_gather", {x}, gathered(x, at, ranks),
                [&ranks, at](const Tensor& dy) { return Gradients{scattered(dy, at, ranks)}; });
}

Tensor reduce_scatter(const Tensor& x, int dim, Communicator& ranks) {
  const int at = positive(x, dim, "reduce_scatter");
  HEED_CHECK(x.size(at) % ranks.size() == 0,
             "reduce_scatter: dimension {} of {} does not share out evenly among {} ranks", dim, x,
             ranks.size());
  if (ranks.size() == 1) return x;
  return record("reduce_scatter", {x}, scattered(x, at, ranks),
                [&ranks, at](const Tensor& dy) { return Gradients{gathered(dy, at, ranks)}; });
}

}  // namespace heed
