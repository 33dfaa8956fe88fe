#include "data/procedural_figures.h"

#include <algorithm>
#include <cmath>

namespace heed::data {
namespace {

// How far (x, y) lies outside a shape of radius 1 about the origin; negative within.
double distance_to(int64_t shape, double x, double y) {
  const double r = std::hypot(x, y), ax = std::abs(x), ay = std::abs(y);
  switch (shape) {
    case 0:
      return r - 1;  // disc
    case 1:
      return std::max(ax, ay) - 0.8;  // square
    case 2:
      return std::max(0.866 * ax + 0.5 * y, -y) - 0.5;  // triangle
    case 3:
      return std::abs(r - 0.75) - 0.25;  // ring
    case 4:
      return std::max(std::min(ax, ay) - 0.25, std::max(ax, ay) - 1);  // cross
    default:
      return std::max(ax - 1, ay - 0.3);  // bar
  }
}

}  // namespace

float Figure::cover(int64_t row, int64_t column) const {
  const double c = std::cos(turn), s = std::sin(turn);
  const double dx = (static_cast<double>(column) - x) / radius;
  const double dy = (static_cast<double>(row) - y) / radius;
  const double outside = distance_to(shape, c * dx + s * dy, c * dy - s * dx) * radius;
  return static_cast<float>(std::clamp(0.5 - outside, 0.0, 1.0));
}

void paint(const Figure& figure, int64_t size, float* pixels) {
  for (int64_t row = 0; row < size; ++row) {
    for (int64_t column = 0; column < size; ++column) {
      const float cover = figure.cover(row, column);
      float* pixel = pixels + (row * size + column) * 3;
      for (size_t k = 0; k < 3; ++k) pixel[k] += cover * (figure.colour[k] - pixel[k]);
    }
  }
}

}  // namespace heed::data
