#include "data/mix.h"

#include <algorithm>
#include <cmath>

namespace heed::data {
namespace {

// ln of a Gamma(a, 1) draw: in logarithms, small shapes do not underflow.
double draw_log_gamma(double a, const RandomKey& key) {
  const RandomStream normals(key.derive("normal")), uniforms(key.derive("uniform"));
  const double d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  const auto open_uniform = [&](uint64_t i) {
    return (static_cast<double>(uniforms.word(i)) + 0.5) * 0x1p-32;
  };
  // Accepts more than 95 draws of 100.
  for (uint64_t i = 1;; ++i) {
    const double x = static_cast<double>(normals.normal(i)), t = 1 + c * x, v = t * t * t;
    if (v <= 0) continue;
    if (std::log(open_uniform(i)) < 0.5 * x * x + d - d * v + d * std::log(v)) {
      const double boost = a < 1 ? std::log(open_uniform(0)) / a : 0;
      return std::log(d * v) + boost;
    }
  }
}

}  // namespace

double draw_beta(double a, const RandomKey& key) {
  HEED_CHECK(a > 0, "draw_beta: a = {}", a);
  const double x = draw_log_gamma(a, key.derive("first"));
  const double y = draw_log_gamma(a, key.derive("second"));
  return 1 / (1 + std::exp(y - x));
}

Mix draw_mix(const MixOptions& options, int64_t height, int64_t width, const RandomKey& key) {
  const RandomStream draws(key.derive("mix"));
  Mix mix;
  if (static_cast<double>(draws.uniform(0)) >= options.probability) return mix;
  mix.cut = options.cutmix > 0 && (options.mixup <= 0 || draws.uniform(1) < 0.5f);
  const double alpha = mix.cut ? options.cutmix : options.mixup;
  if (alpha <= 0) return mix;
  mix.share = draw_beta(alpha, key.derive("share"));
  if (!mix.cut) return mix;
  const auto span = [&](int64_t extent, uint64_t draw, int64_t* low, int64_t* high) {
    const auto half =
        static_cast<int64_t>(static_cast<double>(extent) * std::sqrt(1 - mix.share) / 2);
    const auto centre = static_cast<int64_t>(draws.uniform(draw) * static_cast<float>(extent));
    *low = std::clamp<int64_t>(centre - half, 0, extent);
    *high = std::clamp<int64_t>(centre + half, 0, extent);
  };
  span(height, 2, &mix.top, &mix.bottom);
  span(width, 3, &mix.left, &mix.right);
  const auto area = static_cast<double>((mix.bottom - mix.top) * (mix.right - mix.left));
  mix.share = 1 - area / static_cast<double>(height * width);
  return mix;
}

ImageBatch mix_batch(const ImageBatch& own, const ImageBatch& other, const Mix& mix,
                     int64_t classes) {
  const Tensor &a = own.images, &b = other.images;
  HEED_CHECK(a.shape() == b.shape(), "mix_batch: {} and {}", a.shape().to_string(),
             b.shape().to_string());
  const int64_t rows = a.size(0), height = a.size(1), width = a.size(2), channels = a.size(3);
  const int64_t values = height * width * channels;
  const auto share = static_cast<float>(mix.share);
  ImageBatch out = own;
  out.images = Tensor::empty(a.shape(), DType::f32);
  out.labels = Tensor::zeros({rows, classes}, DType::f32);
  for (int64_t row = 0; row < rows; ++row) {
    const float* mine = a.data<float>() + row * values;
    const float* theirs = b.data<float>() + (rows - 1 - row) * values;
    float* to = out.images.data<float>() + row * values;
    if (mix.cut || mix.share == 1) {
      std::copy_n(mine, values, to);
      for (int64_t y = mix.top; y < mix.bottom; ++y) {
        const int64_t at = (y * width + mix.left) * channels;
        std::copy_n(theirs + at, (mix.right - mix.left) * channels, to + at);
      }
    } else {
      for (int64_t i = 0; i < values; ++i) to[i] = share * mine[i] + (1 - share) * theirs[i];
    }
    float* label = out.labels.data<float>() + row * classes;
    label[own.labels.data<int64_t>()[row]] += share;
    label[other.labels.data<int64_t>()[rows - 1 - row]] += 1 - share;
  }
  return out;
}

}  // namespace heed::data
