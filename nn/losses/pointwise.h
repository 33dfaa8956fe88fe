// Losses of one element against another as modules: x and target of one shape, gradients for both.
#pragma once

#include "nn/losses/loss.h"

namespace heed::nn {

/// Nothing to set but the reduction.
struct PointwiseSettings {
  std::string reduction = "mean";

  void options(Options& o);
};

struct MseSettings : PointwiseSettings {
  Tensor operator()(const Tensor& x, const Tensor& target) const;
};

struct L1Settings : PointwiseSettings {
  Tensor operator()(const Tensor& x, const Tensor& target) const;
};

struct HuberSettings {
  double delta = 1.0;
  std::string reduction = "mean";

  void options(Options& o);
  Tensor operator()(const Tensor& x, const Tensor& target) const;
};

struct SmoothL1Settings {
  double beta = 1.0;
  std::string reduction = "mean";

  void options(Options& o);
  Tensor operator()(const Tensor& x, const Tensor& target) const;
};

struct BceSettings : PointwiseSettings {
  /// x and target in [0, 1]; weight of each element, broadcast to x, without a gradient.
  Tensor operator()(const Tensor& x, const Tensor& target, const Tensor& weight = {}) const;
};

struct BceWithLogitsSettings : PointwiseSettings {
  /// target in [0, 1]; weight of each element and pos_weight of target 1 against target 0, both
  /// broadcast to x, without a gradient.
  Tensor operator()(const Tensor& x, const Tensor& target, const Tensor& weight = {},
                    const Tensor& pos_weight = {}) const;
};

struct KlDivSettings {
  bool log_target = false;
  std::string reduction = "mean";  ///< or "batchmean"

  void options(Options& o);
  /// x log-probabilities, target probabilities (or, with log_target, their logarithms).
  Tensor operator()(const Tensor& x, const Tensor& target) const;
};

using Mse = Loss<MseSettings>;
using L1 = Loss<L1Settings>;
using Huber = Loss<HuberSettings>;
using SmoothL1 = Loss<SmoothL1Settings>;
using Bce = Loss<BceSettings>;
using BceWithLogits = Loss<BceWithLogitsSettings>;
using KlDiv = Loss<KlDivSettings>;

}  // namespace heed::nn
