#include "core/shape.h"

#include <algorithm>

namespace heed {

Shape::Shape(std::span<const int64_t> extents) {
  HEED_CHECK(extents.size() <= kMaxRank, "a tensor has at most {} dimensions, asked for {}",
             kMaxRank, extents.size());
  rank_ = static_cast<int>(extents.size());
  std::copy(extents.begin(), extents.end(), extents_.begin());
}

int Shape::dim_index(int i, const char* op) const {
  const int wrapped = i < 0 ? i + rank_ : i;
  HEED_CHECK(wrapped >= 0 && wrapped < rank_, "{}: dimension {} of a tensor of shape {}", op, i,
             to_string());
  return wrapped;
}

int64_t Shape::numel() const {
  int64_t n = 1;
  for (int64_t extent : *this) n *= extent;
  return n;
}

void Shape::push_back(int64_t extent) { insert(rank_, extent); }

void Shape::erase(int i) {
  std::copy(begin() + i + 1, end(), begin() + i);
  --rank_;
}

void Shape::insert(int i, int64_t extent) {
  HEED_CHECK(rank_ < kMaxRank, "a tensor has at most {} dimensions", kMaxRank);
  std::copy_backward(begin() + i, end(), end() + 1);
  extents_[i] = extent;
  ++rank_;
}

bool Shape::operator==(const Shape& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

std::string Shape::to_string() const {
  return fmt::format("[{}]", fmt::join(begin(), end(), ", "));
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides = shape;
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op) {
  Shape out = a.rank() >= b.rank() ? a : b;
  const Shape& other = a.rank() >= b.rank() ? b : a;
  const int shift = out.rank() - other.rank();
  for (int i = 0; i < other.rank(); ++i) {
    int64_t& extent = out[i + shift];
    if (extent == other[i] || other[i] == 1) continue;
    HEED_CHECK(extent == 1, "{}: shapes {} and {} do not broadcast", op, a, b);
    extent = other[i];
  }
  return out;
}

}  // namespace heed
