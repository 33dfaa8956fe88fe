#include "recipes/engine/measures/image_quality.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"

namespace heed::recipes {
namespace {

Tensor noise(const Shape& shape, uint64_t seed) {
  const RandomStream stream({seed, 1, 2});
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = stream.uniform(i);
  return Tensor::from(values, shape);
}

TEST(Psnr, IsDecibelsOfTheMeanSquare) {
  const Tensor a = Tensor::from(std::vector<float>{0, 0.5, 1, 0.25}, {4});
  const Tensor b = Tensor::from(std::vector<float>{0.5, 0.5, 1, 0.25}, {4});
  // Mean square 0.25 / 4 = 1 / 16: 10 log10(16).
  EXPECT_NEAR(psnr(a, b), 12.0412, 1e-4);
  EXPECT_NEAR(psnr(a, b, 2.0), 12.0412 + 6.0206, 1e-4);
  EXPECT_EQ(psnr(a, a), INFINITY);
  EXPECT_THROW(psnr(a, Tensor::zeros({3}, DType::f32)), Error);
}

// The definition, window by window, with the full 2-D Gaussian.
double slow_ssim(const Tensor& a, const Tensor& b, double range) {
  double weights[11][11], total = 0;
  for (int i = 0; i < 11; ++i) {
    for (int j = 0; j < 11; ++j) {
      total += weights[i][j] = std::exp(-((i - 5) * (i - 5) + (j - 5) * (j - 5)) / (2 * 1.5 * 1.5));
    }
  }
  const double c1 = 1e-4 * range * range, c2 = 9e-4 * range * range;
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  double sum = 0;
  int64_t windows = 0;
  for (int64_t n = 0; n < a.size(0); ++n) {
    for (int64_t c = 0; c < a.size(3); ++c) {
      for (int64_t top = 0; top + 11 <= a.size(1); ++top) {
        for (int64_t left = 0; left + 11 <= a.size(2); ++left, ++windows) {
          double mx = 0, my = 0, vx = 0, vy = 0, cov = 0;
          const auto at = [&](const std::vector<float>& values, int i, int j) {
            const int64_t place =
                ((n * a.size(1) + top + i) * a.size(2) + left + j) * a.size(3) + c;
            return static_cast<double>(values[static_cast<size_t>(place)]);
          };
          for (int i = 0; i < 11; ++i) {
            for (int j = 0; j < 11; ++j) {
              mx += weights[i][j] / total * at(x, i, j);
              my += weights[i][j] / total * at(y, i, j);
            }
          }
          for (int i = 0; i < 11; ++i) {
            for (int j = 0; j < 11; ++j) {
              const double w = weights[i][j] / total, dx = at(x, i, j) - mx, dy = at(y, i, j) - my;
              vx += w * dx * dx;
              vy += w * dy * dy;
              cov += w * dx * dy;
            }
          }
          sum += (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2));
        }
      }
    }
  }
  return sum / static_cast<double>(windows);
}

TEST(Ssim, AgreesWithItsDefinition) {
  for (const Shape& shape : {Shape{1, 11, 11, 1}, Shape{2, 13, 17, 3}}) {
    const Tensor a = noise(shape, 1), b = noise(shape, 2);
    for (const double range : {1.0, 255.0}) {
      // Differences of squares lose some 1e-16 / 9e-4 in f64.
      EXPECT_NEAR(ssim(a, b, range), slow_ssim(a, b, range), 1e-11);
    }
    EXPECT_NEAR(ssim(a, a), 1.0, 1e-12);
  }
}

TEST(Ssim, OfFlatImagesIsTheirLuminanceTerm) {
  const Tensor a = Tensor::full({1, 12, 12, 1}, 0.25, DType::f32);
  const Tensor b = Tensor::full({1, 12, 12, 1}, 0.75, DType::f32);
  EXPECT_NEAR(ssim(a, b), (2 * 0.25 * 0.75 + 1e-4) / (0.0625 + 0.5625 + 1e-4), 1e-10);
  EXPECT_THROW(ssim(noise({1, 10, 12, 1}, 1), noise({1, 10, 12, 1}, 1)), Error);
}

}  // namespace
}  // namespace heed::recipes
