#include "nn/shard.h"

#include <numeric>

#include "core/views.h"
#include "kernels/copy/copy.h"

namespace heed::nn {
namespace {

// Calls fn(first in the whole, first in a part, length) for each group's piece of part `part`.
template <class Fn>
void for_pieces(const Shard& shard, int64_t part, const Fn& fn) {
  int64_t whole = 0, own = 0;
  for (const int64_t group : shard.groups) {
    HEED_CHECK(shard.parts > 0 && group >= shard.parts, "shard: {} parts of a group of {}",
               shard.parts, group);
    const int64_t first = part * group / shard.parts;
    const int64_t piece = (part + 1) * group / shard.parts - first;
    fn(whole + first, own, piece);
    whole += group;
    own += piece;
  }
}

}  // namespace

int64_t Shard::whole_size() const {
  return std::accumulate(groups.begin(), groups.end(), int64_t{0});
}

int64_t Shard::part_size(int64_t which) const {
  int64_t size = 0;
  for_pieces(*this, which, [&](int64_t, int64_t, int64_t length) { size += length; });
  return size;
}

Shape Shard::whole_shape(const Shape& part_shape) const {
  Shape shape = part_shape;
  shape[dim] = whole_size();
  return shape;
}

Tensor shard_of(const Tensor& whole, const Shard& shard) {
  HEED_CHECK(shard.dim < whole.rank() && whole.size(shard.dim) == shard.whole_size(),
             "shard: groups of {} in all along dimension {} do not fit {}", shard.whole_size(),
             shard.dim, whole);
  Shape shape = whole.shape();
  shape[shard.dim] = shard.part_size(shard.part);
  const Tensor own = Tensor::empty(shape, whole.dtype(), whole.device());
  for_pieces(shard, shard.part, [&](int64_t from, int64_t to, int64_t length) {
    kernels::copy(views::slice(whole.detach(), shard.dim, from, from + length),
                  views::slice(own, shard.dim, to, to + length));
  });
  return own;
}

Tensor join_shards(const std::vector<Tensor>& parts, const Shard& shard) {
  HEED_CHECK(std::ssize(parts) == shard.parts, "shard: {} parts of {}", parts.size(), shard.parts);
  const Tensor whole =
      Tensor::empty(shard.whole_shape(parts[0].shape()), parts[0].dtype(), parts[0].device());
  for (int64_t part = 0; part < shard.parts; ++part) {
    const Tensor own = parts[static_cast<size_t>(part)].detach();
    for_pieces(shard, part, [&](int64_t to, int64_t from, int64_t length) {
      kernels::copy(views::slice(own, shard.dim, from, from + length),
                    views::slice(whole, shard.dim, to, to + length));
    });
  }
  return whole;
}

}  // namespace heed::nn
