#include "distributed/ring_buffers.h"

#include <numeric>

#include "core/views.h"
#include "kernels/copy/copy.h"

namespace heed {
namespace {

/// Calls fn(run, its rows of x) for each run.
template <class Fn>
void for_runs(const Tensor& x, size_t runs, const std::vector<Tensor>& parts, const Fn& fn) {
  int64_t first = 0;
  for (size_t r = 0; r < runs; ++r) {
    const int64_t count = parts[r].size(2);
    fn(parts[r], views::slice(x, 2, first, first + count));
    first += count;
  }
}

}  // namespace

ChunkShape::ChunkShape(const Tensor& k, const Tensor& v, const std::vector<TokenRun>& of)
    : batch(k.size(0)), heads(k.size(1)), key_width(k.size(3)), value_width(v.size(3)) {
  for (const TokenRun& run : of) runs.push_back(run.count);
}

int64_t ChunkShape::numel() const {
  return batch * heads * (key_width + value_width) *
         std::accumulate(runs.begin(), runs.end(), int64_t{0});
}

ChunkBuffer::ChunkBuffer(const ChunkShape& shape, DType dtype)
    : all(Tensor::empty({shape.numel()}, dtype)) {
  int64_t at = 0;
  const auto next = [&](int64_t run, int64_t width) {
    const Shape as{shape.batch, shape.heads, run, width};
    const Tensor part = views::reshape(views::slice(all, 0, at, at + as.numel()), as);
    at += as.numel();
    return part;
  };
  for (const int64_t run : shape.runs) {
    keys.push_back(next(run, shape.key_width));
    values.push_back(next(run, shape.value_width));
  }
}

ChunkBuffer::ChunkBuffer(const ChunkShape& shape, const Tensor& k, const Tensor& v)
    : ChunkBuffer(shape, k.dtype()) {
  const auto fill = [](const Tensor& part, const Tensor& rows) { kernels::copy(rows, part); };
  for_runs(k, keys.size(), keys, fill);
  for_runs(v, values.size(), values, fill);
}

void ChunkBuffer::clear_to_zero() const { kernels::fill(all, 0.0); }

void ChunkBuffer::copy_to(const Tensor& k, const Tensor& v) const {
  const auto take = [](const Tensor& part, const Tensor& rows) { kernels::copy(part, rows); };
  for_runs(k, keys.size(), keys, take);
  for_runs(v, values.size(), values, take);
}

}  // namespace heed
