// From data to noise and what a denoiser learns about the way back:
//   x(t) = alpha(t) x0 + sigma(t) noise,    t from 0 (data) to 1 (noise)
//
//   linear   DDPM (Ho et al., arXiv 2006.11239): alpha^2 = product of 1 - beta_i, beta_i growing
//            evenly from 1e-4 to 0.02 over 1000 steps
//   cosine   (Nichol & Dhariwal, arXiv 2102.09672, eq. 17) with s = 0.008, beta_i at most 0.999
//   flow     flow matching, rectified flow (Lipman et al., arXiv 2210.02747; Liu et al., arXiv
//            2209.03003): alpha = 1 - t, sigma = t
#pragma once

#include <string>
#include <vector>

#include "core/options.h"
#include "core/tensor.h"

namespace heed::nn {

struct DiffusionOptions {
  std::string schedule = "linear";
  std::string prediction = "auto";
  int64_t steps = 1000;
  double shift = 1.0;

  void options(Options& o);
};

class DiffusionProcess {
 public:
  explicit DiffusionProcess(const DiffusionOptions& options);

  struct Level {
    double alpha, sigma;
  };
  /// At t in [0, 1]; linear and cosine know the times i / steps, and take the nearest.
  Level level(double t) const;

  /// The time that u in [0, 1) draws in training: linear and cosine one of 1 / steps ... 1, evenly;
  /// flow u itself, shifted: s u / (1 + (s - 1) u) (Esser et al., arXiv 2403.03206, eq. 23).
  double time_of(double u) const;

  /// What the model is to predict of `count` numbers at a level: the noise, or the velocity,
  /// alpha noise - sigma x0 (Salimans & Ho, arXiv 2202.00512); of a flow noise - x0.
  void noise_and_target(const Level& level, const float* x0, const float* noise, int64_t count,
                        float* noisy, float* target) const;

  struct Estimate {
    Tensor x0, noise;
  };
  /// Both ends of the way, told from a prediction at x(t). No gradient.
  Estimate estimate(const Tensor& x, const Tensor& prediction, const Level& level) const;

  bool is_flow() const { return options_.schedule == "flow"; }
  /// "noise" or "velocity".
  const std::string& prediction() const { return options_.prediction; }

  /// What a model is told of a time: the networks of the papers count to 1000.
  static double network_time(double t) { return 1000.0 * t; }

 private:
  DiffusionOptions options_;
  std::vector<Level> levels_;  // of i / steps; empty for a flow
};

}  // namespace heed::nn
