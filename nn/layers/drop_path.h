// Stochastic depth (Huang et al., arXiv 1603.09382): in training, a sample's whole branch is zeroed
// with probability p and scaled by 1/(1-p) otherwise.
#pragma once

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

struct DropPathOptions {
  double p = 0.1;

  void options(Options& o);
};

struct DropPath : Module {
  explicit DropPath(double probability);
  explicit DropPath(const DropPathOptions& options) : DropPath(options.p) {}

  /// x [B, ...] -> the same shape. The draw of sample b is a function of (run's seed, step,
  /// module's path, b).
  Tensor forward(const Tensor& x);
  Tensor operator()(const Tensor& x) { return forward(x); }

  double p;
};

/// The usual schedule: layer l of `layers` drops with `last` l / (layers - 1).
double drop_path_of_layer(double last, int64_t layer, int64_t layers);

}  // namespace heed::nn
