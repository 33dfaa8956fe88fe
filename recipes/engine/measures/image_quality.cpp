#include "recipes/engine/measures/image_quality.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/views.h"

namespace heed::recipes {
namespace {

constexpr int64_t kWindow = 11;

std::array<double, kWindow> gaussian() {
  std::array<double, kWindow> weights{};
  double sum = 0;
  for (int64_t i = 0; i < kWindow; ++i) {
    const double x = static_cast<double>(i - kWindow / 2) / 1.5;
    sum += weights[static_cast<size_t>(i)] = std::exp(-x * x / 2);
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

using Plane = std::vector<double>;  // [height, width]

// The Gaussian mean of each window, along columns and then rows.
Plane blurred(const Plane& plane, int64_t height, int64_t width) {
  static const auto weights = gaussian();
  const int64_t rows = height - kWindow + 1, columns = width - kWindow + 1;
  Plane across(static_cast<size_t>(height * columns), 0.0);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t k = 0; k < kWindow; ++k) {
      const double weight = weights[static_cast<size_t>(k)];
      const double* from = plane.data() + y * width + k;
      double* to = across.data() + y * columns;
      for (int64_t x = 0; x < columns; ++x) to[x] += weight * from[x];
    }
  }
  Plane result(static_cast<size_t>(rows * columns), 0.0);
  for (int64_t y = 0; y < rows; ++y) {
    for (int64_t k = 0; k < kWindow; ++k) {
      const double weight = weights[static_cast<size_t>(k)];
      const double* from = across.data() + (y + k) * columns;
      double* to = result.data() + y * columns;
      for (int64_t x = 0; x < columns; ++x) to[x] += weight * from[x];
    }
  }
  return result;
}

Plane product(const Plane& a, const Plane& b) {
  Plane result(a.size());
  for (size_t i = 0; i < a.size(); ++i) result[i] = a[i] * b[i];
  return result;
}

double ssim_of_plane(const Plane& a, const Plane& b, int64_t height, int64_t width, double range) {
  const double c1 = std::pow(0.01 * range, 2), c2 = std::pow(0.03 * range, 2);
  const Plane ma = blurred(a, height, width), mb = blurred(b, height, width);
  const Plane aa = blurred(product(a, a), height, width);
  const Plane bb = blurred(product(b, b), height, width);
  const Plane ab = blurred(product(a, b), height, width);
  double sum = 0;
  for (size_t i = 0; i < ma.size(); ++i) {
    const double means = ma[i] * mb[i], squares = ma[i] * ma[i] + mb[i] * mb[i];
    sum += (2 * means + c1) * (2 * (ab[i] - means) + c2) /
           ((squares + c1) * (aa[i] + bb[i] - squares + c2));
  }
  return sum / static_cast<double>(ma.size());
}

void check_pair(const char* what, const Tensor& a, const Tensor& b) {
  HEED_CHECK(
      a.shape() == b.shape() && a.numel() > 0 && a.dtype() == DType::f32 && b.dtype() == DType::f32,
      "{}: wants two f32 tensors of one shape, got {} and {}", what, a, b);
}

}  // namespace

double psnr(const Tensor& a, const Tensor& b, double range) {
  check_pair("psnr", a, b);
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += difference * difference;
  }
  if (sum == 0.0) return std::numeric_limits<double>::infinity();
  return 10.0 * std::log10(range * range * static_cast<double>(x.size()) / sum);
}

double ssim(const Tensor& a, const Tensor& b, double range) {
  check_pair("ssim", a, b);
  HEED_CHECK(a.rank() == 4 && a.size(1) >= kWindow && a.size(2) >= kWindow,
             "ssim: wants images [B, H, W, C] of 11 x 11 at least, got {}", a);
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  const int64_t height = a.size(1), width = a.size(2), channels = a.size(3);
  double sum = 0;
  for (int64_t image = 0; image < a.size(0); ++image) {
    for (int64_t c = 0; c < channels; ++c) {
      const auto plane = [&](const std::vector<float>& values) {
        Plane result(static_cast<size_t>(height * width));
        for (size_t i = 0; i < result.size(); ++i) {
          const int64_t at = (image * height * width + static_cast<int64_t>(i)) * channels + c;
          result[i] = static_cast<double>(values[static_cast<size_t>(at)]);
        }
        return result;
      };
      sum += ssim_of_plane(plane(x), plane(y), height, width, range);
    }
  }
  return sum / static_cast<double>(a.size(0) * channels);
}

Tensor without_border(const Tensor& images, int64_t border) {
  const int64_t height = images.size(1), width = images.size(2);
  if (2 * border >= std::min(height, width)) {
    fail_request("a border of {} leaves nothing of an image of {} x {}", border, height, width);
  }
  return views::slice(views::slice(images, 1, border, height - border), 2, border, width - border);
}

Tensor luminance(const Tensor& images) {
  HEED_CHECK(images.rank() == 4 && images.size(3) == 3,
             "luminance: wants images [B, H, W, 3], got {}", images);
  const auto rgb = images.to_vector<float>();
  Tensor result = Tensor::empty({images.size(0), images.size(1), images.size(2), 1}, DType::f32);
  auto* y = result.data<float>();
  for (size_t i = 0; i < rgb.size(); i += 3) {
    y[i / 3] = (16.0f + 65.481f * rgb[i] + 128.553f * rgb[i + 1] + 24.966f * rgb[i + 2]) / 255.0f;
  }
  return result;
}

}  // namespace heed::recipes
