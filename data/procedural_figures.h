// Figures that procedural images are made of, painted with an edge one pixel wide.
#pragma once

#include <array>
#include <cstdint>

#include "core/random.h"

namespace heed::data {

using Colour = std::array<float, 3>;

/// Numbers drawn one after the other by a key.
struct Draws {
  explicit Draws(const RandomKey& key) : stream(key) {}
  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(stream.uniform(next++));
  }
  Colour colour(double low, double high) {
    Colour out{};
    for (float& value : out) value = static_cast<float>(uniform(low, high));
    return out;
  }
  RandomStream stream;
  uint64_t next = 0;
};

inline constexpr int64_t kFigureShapes = 6;  ///< disc, square, triangle, ring, cross, bar

struct Figure {
  int64_t shape = 0;
  double x = 0, y = 0, radius = 1, turn = 0;  ///< pixels, radians
  Colour colour{};

  /// How much of pixel (row, column) the figure covers, from 0 to 1.
  float cover(int64_t row, int64_t column) const;
};

/// Paints the figure over `pixels` [size, size, 3].
void paint(const Figure& figure, int64_t size, float* pixels);

}  // namespace heed::data
