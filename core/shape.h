// Shape: up to eight extents (or strides) held in place, without a heap allocation.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace heed {

inline constexpr int kMaxRank = 8;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents)
      : Shape(std::span(extents.begin(), extents.end())) {}
  Shape(const std::vector<int64_t>& extents) : Shape(std::span<const int64_t>(extents)) {}
  Shape(std::span<const int64_t> extents);

  int rank() const { return rank_; }
  /// Extent of dimension i; negative i counts from the end. Unchecked: see dim_index().
  int64_t operator[](int i) const { return extents_[i < 0 ? i + rank_ : i]; }
  int64_t& operator[](int i) { return extents_[i < 0 ? i + rank_ : i]; }
  /// i in [0, rank) for i in [-rank, rank); throws naming `op` otherwise.
  int dim_index(int i, const char* op) const;

  int64_t numel() const;
  void push_back(int64_t extent);
  void erase(int i);
  void insert(int i, int64_t extent);

  const int64_t* begin() const { return extents_.data(); }
  const int64_t* end() const { return extents_.data() + rank_; }
  int64_t* begin() { return extents_.data(); }
  int64_t* end() { return extents_.data() + rank_; }
  std::vector<int64_t> vector() const { return {begin(), end()}; }

  bool operator==(const Shape& other) const;
  /// "[2, 3, 4]"
  std::string to_string() const;

 private:
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

/// Row-major strides, in elements.
Shape contiguous_strides(const Shape& shape);

/// The shape that a and b broadcast to (NumPy's rule); throws naming `op` if they do not.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op);

}  // namespace heed

template <>
struct fmt::formatter<heed::Shape> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const heed::Shape& shape, Context& context) const {
    return fmt::formatter<std::string>::format(shape.to_string(), context);
  }
};
