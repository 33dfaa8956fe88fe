#include "nn/diffusion/sampler.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "core/views.h"
#include "kernels/random/fill.h"

namespace heed::nn {
namespace {

// Normal draws; of sample n by key.derive(n), so that it does not depend on how many are made.
Tensor noise_rows(const Shape& shape, const RandomKey& key, int64_t first) {
  Tensor noise = Tensor::empty(shape, DType::f32);
  for (int64_t row = 0; row < shape[0]; ++row) {
    kernels::fill_normal(views::slice(noise, 0, row, row + 1), 0.0, 1.0,
                         key.derive(static_cast<uint64_t>(first + row)));
  }
  return noise;
}

std::string type_of(const DiffusionProcess& process, const SamplerOptions& options) {
  const std::string type = options.type != "auto" ? options.type
                           : process.is_flow()    ? "euler"
                                                  : "ddim";
  if (type == "euler" && !process.is_flow()) {
    fail_request("sampler euler: for flows; a diffusion is sampled by ddim or ancestral");
  }
  if (type == "ancestral" && process.is_flow()) {
    fail_request("sampler ancestral: for diffusions; a flow is sampled by euler");
  }
  return type;
}

}  // namespace

void SamplerOptions::options(Options& o) {
  o.field("type", type, "how the steps go; auto: ddim, and euler for a flow",
          {.one_of = {"auto", "ddim", "ancestral", "euler"}});
  o.field("steps", steps, "evaluations of the model for a sample", {.min = 1, .max = 1e5});
  o.field("clip", clip, "keep the estimate of the data within [-1, 1]");
  o.field("guidance", guidance,
          "weight of the labels: 1 takes them as they are, more exaggerates them", {.min = 0});
}

Tensor sample(const DiffusionProcess& process, const SamplerOptions& options, const Shape& shape,
              const RandomKey& key, const Denoiser& model, int64_t first) {
  const NoGrad no_grad;
  const std::string type = type_of(process, options);
  // The times are those that training would draw from evenly spaced numbers.
  std::vector<double> times;
  for (int64_t i = options.steps; i > 0; --i) {
    const double u = static_cast<double>(i) / static_cast<double>(options.steps);
    times.push_back(process.time_of(process.is_flow() ? u : std::nextafter(u, 0.0)));
  }
  times.push_back(0.0);

  Tensor x = noise_rows(shape, key.derive("start"), first);
  for (size_t i = 0; i + 1 < times.size(); ++i) {
    if (times[i] == times[i + 1]) continue;  // more steps than the process has
    const auto now = process.level(times[i]), next = process.level(times[i + 1]);
    const Tensor t = Tensor::full({shape[0]}, DiffusionProcess::network_time(times[i]), DType::f32);
    Tensor prediction = cast(model(x, t, true), DType::f32);
    if (options.guidance != 1.0) {
      const Tensor without = cast(model(x, t, false), DType::f32);
      prediction = add(without, mul(sub(prediction, without), options.guidance));
    }
    auto [x0, noise] = process.estimate(x, prediction, now);
    if (options.clip) {
      x0 = clamp(x0, -1.0, 1.0);
      noise = mul(sub(x, mul(x0, now.alpha)), 1.0 / now.sigma);
    }
    double fresh = 0.0;  // variance
    if (type == "ancestral") {
      const double ratio = now.alpha / next.alpha;
      fresh = next.sigma * next.sigma / (now.sigma * now.sigma) * (1.0 - ratio * ratio);
    }
    const double kept = std::sqrt(std::max(next.sigma * next.sigma - fresh, 0.0));
    x = add(mul(x0, next.alpha), mul(noise, kept));
    if (fresh > 0.0) {
      x = add(
          x, mul(noise_rows(shape, key.derive(static_cast<uint64_t>(i)), first), std::sqrt(fresh)));
    }
  }
  return x;
}

}  // namespace heed::nn
