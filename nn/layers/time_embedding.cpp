#include "nn/layers/time_embedding.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

constexpr double kInitStd = 0.02;
constexpr double kLongestWavelength = 10000.0;

Tensor angular_frequencies(int64_t half, DType dtype, Device device) {
  std::vector<double> values;
  for (int64_t i = 0; i < half; ++i) {
    values.push_back(
        std::pow(kLongestWavelength, -static_cast<double>(i) / static_cast<double>(half)));
  }
  return cast(Tensor::from(values, {1, half}), dtype).to(device);
}

}  // namespace

void TimeEmbeddingOptions::options(Options& o) {
  o.field("dim", dim, "features", {.min = 1, .required = true});
  o.field("frequencies", frequencies, "cosines and sines together, an even number", {.min = 2});
  o.check(frequencies % 2 == 0, "frequencies", "must be even");
}

TimeEmbedding::TimeEmbedding(const TimeEmbeddingOptions& o)
    : fc1(o.frequencies, o.dim, true, init::normal(kInitStd)),
      fc2(o.dim, o.dim, true, init::normal(kInitStd)),
      frequencies(o.frequencies) {
  children({{"fc1", fc1}, {"fc2", fc2}});
}

Tensor TimeEmbedding::forward(const Tensor& times) {
  HEED_CHECK(times.rank() == 1 && is_floating(times.dtype()),
             "time_embedding: wants floating times [B], got {}", times);
  // Angles in bf16 would be off by whole turns.
  const DType dtype = times.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor angles = mul(reshape(cast(times, dtype), {-1, 1}),
                            angular_frequencies(frequencies / 2, dtype, times.device()));
  const Tensor waves = concat({cos(angles), sin(angles)}, 1);
  return fc2(fc1.forward(cast(waves, compute_dtype()), Activation::silu));
}

}  // namespace heed::nn
