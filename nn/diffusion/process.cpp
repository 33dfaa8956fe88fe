#include "nn/diffusion/process.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "autograd/ops/elementwise.h"

namespace heed::nn {
namespace {

// The linear schedule's betas are for this many steps; others are scaled to the same total.
constexpr double kPublishedSteps = 1000.0;

std::vector<double> betas(const std::string& schedule, int64_t steps) {
  std::vector<double> result;
  const auto count = static_cast<double>(steps);
  const auto cosine = [](double t) {
    const double c = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
    return c * c;
  };
  for (int64_t i = 0; i < steps; ++i) {
    const auto at = static_cast<double>(i);
    if (schedule == "cosine") {
      result.push_back(std::min(1.0 - cosine((at + 1) / count) / cosine(at / count), 0.999));
    } else {
      const double scale = kPublishedSteps / count, place = steps < 2 ? 1.0 : at / (count - 1);
      result.push_back(std::min(scale * (1e-4 + place * (0.02 - 1e-4)), 0.999));
    }
  }
  return result;
}

}  // namespace

void DiffusionOptions::options(Options& o) {
  o.field("schedule", schedule, "how data turns into noise",
          {.one_of = {"linear", "cosine", "flow"}});
  o.field("prediction", prediction, "what the model predicts; auto: noise, and velocity for a flow",
          {.one_of = {"auto", "noise", "velocity"}});
  o.field("steps", steps, "of linear and cosine", {.min = 1, .max = 1e6});
  o.field("shift", shift, "of a flow's times towards noise: above 1 for large images",
          {.above = 0});
  o.check(schedule != "flow" || prediction != "noise", "prediction",
          "a flow is predicted by its velocity");
  o.check(schedule == "flow" || shift == 1.0, "shift", "only a flow's times are shifted");
}

DiffusionProcess::DiffusionProcess(const DiffusionOptions& options) : options_(options) {
  if (options_.prediction == "auto") options_.prediction = is_flow() ? "velocity" : "noise";
  if (is_flow()) return;
  double kept = 1.0;  // alpha^2
  levels_.push_back({1.0, 0.0});
  for (const double beta : betas(options_.schedule, options_.steps)) {
    kept *= 1.0 - beta;
    levels_.push_back({std::sqrt(kept), std::sqrt(1.0 - kept)});
  }
}

DiffusionProcess::Level DiffusionProcess::level(double t) const {
  HEED_CHECK(t >= 0.0 && t <= 1.0, "diffusion: times are in [0, 1], got {}", t);
  if (is_flow()) return {1.0 - t, t};
  return levels_[static_cast<size_t>(std::llround(t * static_cast<double>(options_.steps)))];
}

double DiffusionProcess::time_of(double u) const {
  if (is_flow()) return options_.shift * u / (1.0 + (options_.shift - 1.0) * u);
  const auto steps = static_cast<double>(options_.steps);
  return (std::min(std::floor(u * steps), steps - 1) + 1) / steps;
}

void DiffusionProcess::noise_and_target(const Level& level, const float* x0, const float* noise,
                                        int64_t count, float* noisy, float* target) const {
  const auto alpha = static_cast<float>(level.alpha), sigma = static_cast<float>(level.sigma);
  // target = a noise - b x0
  const float a = prediction() == "velocity" && !is_flow() ? alpha : 1.0f;
  const float b = prediction() == "noise" ? 0.0f : is_flow() ? 1.0f : sigma;
  for (int64_t i = 0; i < count; ++i) {
    noisy[i] = alpha * x0[i] + sigma * noise[i];
    target[i] = a * noise[i] - b * x0[i];
  }
}

DiffusionProcess::Estimate DiffusionProcess::estimate(const Tensor& x, const Tensor& prediction_,
                                                      const Level& level) const {
  const NoGrad no_grad;
  const auto [alpha, sigma] = level;
  if (is_flow()) {
    return {sub(x, mul(prediction_, sigma)), add(x, mul(prediction_, alpha))};
  }
  if (prediction() == "velocity") {
    return {sub(mul(x, alpha), mul(prediction_, sigma)),
            add(mul(x, sigma), mul(prediction_, alpha))};
  }
  return {mul(sub(x, mul(prediction_, sigma)), 1.0 / alpha), prediction_};
}

}  // namespace heed::nn
