#include "nn/layers/upsampler.h"

#include "autograd/ops/layout.h"

namespace heed::nn {
namespace {

bool is_power_of_two(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

}  // namespace

void UpsamplerOptions::options(Options& o) {
  o.field("dim", dim, "channels", {.min = 1, .required = true});
  o.field("scale", scale, "the result's sides over the input's: 3 or a power of 2",
          {.min = 1, .max = 64});
  o.check(scale == 3 || is_power_of_two(scale), "scale",
          fmt::format("scale ({}) must be 3 or a power of 2", scale));
}

Upsampler::Upsampler(const UpsamplerOptions& options) : factor_(options.scale == 3 ? 3 : 2) {
  HEED_CHECK(options.scale == 3 || is_power_of_two(options.scale),
             "upsampler: a scale of {} is neither 3 nor a power of 2", options.scale);
  const int64_t channels = options.dim * factor_ * factor_;
  for (int64_t scale = 1; scale < options.scale; scale *= factor_) {
    steps.emplace(same_conv(options.dim, channels, 3, 1, 1, true));
  }
  children({{"steps", steps}});
}

Tensor Upsampler::forward(const Tensor& x) {
  Tensor y = x;
  for (const auto& step : steps) y = pixel_shuffle((*step)(y), factor_);
  return y;
}

double Upsampler::flops(int64_t& height, int64_t& width) const {
  double total = 0;
  for (const auto& step : steps) {
    total += step->flops(height, width);
    height *= factor_;
    width *= factor_;
  }
  return total;
}

}  // namespace heed::nn
